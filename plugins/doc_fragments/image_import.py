# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations


class ModuleDocFragment:
    """Where an imported version comes from."""

    DOCUMENTATION = r"""
options:
  src:
    description:
      - Import the version from this file on the image host, as an absolute path. Not with O(source_vm).
      - A disk in one of the formats that M(goldsmith.images.source_vm) imports, known by its content; a raw one may
        need O(src_format). Or a bundle of M(goldsmith.images.desktop_image_export), which is taken over byte for byte,
        under the name and the version that it has.
      - Without O(version), a disk becomes the version 1.0, and with O(bump) the one after the newest.
      - The version stands in the state C(deployment_done) until a task without O(src) publishes it, or is published at
        once with O(publish=true). What is published stays so.
      - The same file again changes nothing, nor does it when the file is gone. When its path, size and time are others,
        or its O(checksum), the content is compared; another content is refused, and the next free version named.
      - Nothing becomes visible before all of it was written and verified, and a run that fails leaves nothing.
    type: path
    version_added: 0.2.0
  src_format:
    description: Format of the disk O(src), when its content does not tell or shall not count.
    type: str
    choices: [raw, qcow2, vmdk, vhd, vhdx]
    version_added: 0.2.0
  checksum:
    description:
      - SHA-256 of the file O(src), as V(sha256:) and 64 hexadecimal digits. It is computed while the file is read, and
        another one is refused.
    type: str
    version_added: 0.2.0
  hardware:
    description:
      - Hardware of the desktops that are made from the disk O(src), with the defaults of M(goldsmith.images.source_vm).
        They suit O(os), so say that. Desktop pools can choose other processors, memory and networks.
      - A disk that only UEFI boots gets UEFI. A version that is there is not given other hardware.
      - A bundle brings its own.
    type: dict
    version_added: 0.2.0
    suboptions:
      vcpus:
        description: Number of processors, 2 by default.
        type: int
      cores_per_socket:
        description: Number of cores that a socket has; one by default.
        type: int
      memory:
        description: Memory, as V(2GiB), which is the default.
        type: str
      firmware:
        description: Firmware. By default V(uefi) for a disk that nothing else boots, else what the OS likes best.
        type: str
        choices: [bios, uefi, uefi-secure]
      tpm:
        description: Whether there is a TPM. By default when the OS wants one.
        type: bool
      bus:
        description: Bus of the disk. By default one that the OS knows.
        type: str
        choices: [virtio, scsi, sata, usb]
      networks:
        description: Network cards. By default one in libvirt's network C(default).
        type: list
        elements: dict
        suboptions:
          network:
            description: Name of a libvirt network.
            type: str
          bridge:
            description: Name of a bridge of the host.
            type: str
          model:
            description: Model of the card, as V(virtio). By default one that the OS knows.
            type: str
      graphics:
        description: Console, on loopback, V(vnc) by default.
        type: str
        choices: [vnc, spice, none]
      video:
        description: Model of the video card. By default what the OS likes best.
        type: str
        choices: [virtio, qxl, vga, bochs, cirrus, ramfb, none]
  trusted_signers:
    description:
      - Whose signatures are trusted on a bundle that O(src) names, as lines of an allowed_signers file
        (C(ssh-keygen(1)), "ALLOWED SIGNERS"), or as the absolute paths of such files on the image host.
      - A bundle that none of them signed is refused with the C(error_code) V(untrusted), and so is a disk, which nobody
        can sign. Disks of a bundle are compared with its manifest in any case.
    type: list
    elements: str
    version_added: 0.2.0
"""
