# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations


class ModuleDocFragment:
    """Who may have signed an image that is used."""

    DOCUMENTATION = r"""
options:
  trusted_signers:
    description:
      - Whose signatures are trusted, as lines of an allowed_signers file (C(ssh-keygen(1)), "ALLOWED SIGNERS"), as
        V(it@example.com ssh-ed25519 AAAA...), or as the absolute paths of such files on the image host.
      - With it, an image is used only when one of them signed its manifest, and its disks and UEFI variables are those
        that the manifest names. An unsigned image, one that was changed, and one that somebody else signed are refused
        with the C(error_code) V(untrusted).
      - The disks are read for that. What was found to be right is not read again on this host until it changes, or the
        host boots.
      - Without it, an image is used whether it is signed or not.
    type: list
    elements: str
requirements:
  - ssh-keygen (OpenSSH >= 8.2), for O(trusted_signers)
"""
