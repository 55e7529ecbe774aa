# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Test hosts: podman containers that run systemd, libvirtd and sshd as real image hosts do."""
