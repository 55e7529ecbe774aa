# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations


class ModuleDocFragment:
    """Documentation of options of source_vm that make a chapter of their own."""

    # The machine that a guest finds itself in.
    MACHINE = r"""
options:
  firmware:
    description:
      - Firmware. V(uefi-secure) is UEFI with secure boot and Microsoft's keys.
      - A new VM without it has what the OS needs. ARM machines have no V(bios).
      - A change needs the VM powered off, and the variables of the former firmware are removed. It is refused when
        anything was ever written to the first disk, as an OS is installed for one firmware, unless
        O(allow_unbootable=true).
    type: str
    choices: [bios, uefi, uefi-secure]
  tpm:
    description:
      - Whether it has an emulated TPM 2.0. A new VM without it has what the OS needs.
      - A change needs the VM powered off. A TPM that is taken away loses its keys, which is refused when anything was
        ever written to the first disk, unless O(allow_unbootable=true).
    type: bool
  virt_type:
    description:
      - V(kvm) runs it on the processor, V(qemu) emulates one. A change needs the VM powered off.
      - V(auto) gives a new VM V(kvm) where a probe shows that guests really run under it on this host, else V(qemu);
        an existing VM keeps what it has.
    type: str
    choices: [auto, kvm, qemu]
    default: auto
  graphics:
    description:
      - Console. That of a new VM is on the host's loopback address only, and V(vnc) where nothing is said.
      - A change needs the VM powered off; the address stays.
    type: str
    choices: [vnc, spice, none]
  boot:
    description:
      - From what it boots, in order. A new VM without it boots from V(hd), then V(cdrom).
      - Where the definition numbers single devices, those of a kind keep their order.
      - A change needs the VM powered off.
    type: list
    elements: str
    choices: [hd, cdrom, network]
  video:
    description: Model of the video card. A new VM without it has what suits the OS. A change needs the VM powered off.
    type: str
    choices: [virtio, qxl, vga, bochs, cirrus, ramfb, none]
  agent_channel:
    description:
      - Whether it has the channel of the QEMU guest agent. A new VM without it has one.
      - A change needs the VM powered off.
    type: bool
"""

    # Where a source VM comes from that is not simply new.
    ORIGINS = r"""
options:
  source:
    description:
      - Where a new VM comes from, when it comes from another hypervisor. Looked at only while there is no such VM.
      - Hardware is that of the descriptor, where O(os), O(vcpus), O(memory), O(networks), O(firmware) or O(tpm) do not
        say otherwise. Its disks become raw files of the pool, converted in one pass from where they lie.
      - Excludes O(disks), O(clone_of), O(from_image) and O(adopt).
      - Appliances are for VDI only, single disks for VDI and IDV.
    type: dict
    suboptions:
      ovf:
        description: Path on the host of an OVF descriptor, or of a folder that holds one, with its files beside it.
        type: path
      ova:
        description: Path on the host of an OVA. It is read where it lies; nothing of it is unpacked.
        type: path
      disk:
        description: Path on the host of a disk (VHD, VHDX, VMDK, qcow2 or raw), which no running domain may use.
        type: path
      format:
        description:
          - Format of O(source.disk). Without it, what its content shows.
          - V(raw) is believed whatever the file begins with; any other is checked.
        type: str
        choices: [raw, qcow2, vmdk, vhd, vhdx]
      configuration:
        description: Deployment option of the appliance. Without it, its default one.
        type: str
      system:
        description: Id of the virtual system to import. Required where the appliance has several.
        type: str
      networks:
        description:
          - libvirt networks by the names of the exporter's networks.
          - A network that is not named here is the libvirt network of the same name, or else C(default), which
            RV(source_warnings) then says.
        type: dict
      keep_macs:
        description:
          - Whether the network cards keep the MAC addresses of the descriptor. Two VMs with one address disturb each
            other, so by default libvirt chooses new ones.
        type: bool
        default: false
      bus:
        description:
          - Bus of the disks. Without it, virtio where the descriptor says virtio or the OS has virtio drivers by
            osinfo-db, and SATA for Windows, for unknown systems, and for appliances of the relatives of RHEL and SUSE,
            whose initramfs holds the drivers of the machine that it was made on alone.
        type: str
        choices: [virtio, scsi, sata, usb]
  guest_conversion:
    description:
      - V(virt_v2v) has C(virt-v2v-in-place) put virtio drivers into the guest of O(source) and adapt its boot loader;
        its disks and network cards are then virtio.
      - V(none) leaves the guest as it is.
    type: str
    choices: [none, virt_v2v]
    default: none
  clone_of:
    description:
      - Name of a source VM that is copied, which must be off. Looked at only while there is no VM of this name.
      - The clone has all hardware of the original, also what this module does not know, copies of its disks without
        their snapshots, of its UEFI variables and of its TPM state, and the record of its O(build) steps. Its name,
        UUID, MAC addresses and serial numbers are its own. What else the task says is changed at once.
      - Without O(pool) it belongs to the pool of the original.
    type: str
  from_image:
    description:
      - A version of a desktop image in the pool, as V(office@1.1), or a marker, as V(office@stable), that a new VM
        begins as. Looked at only while there is no such VM.
      - It has the hardware of the image and full copies of its disks; blocks are shared where the file system can do
        that. Its TPM is new. The version is not removed as long as the VM is there.
      - O(trusted_signers) says who must have signed the version.
      - What is published from it as the same image gets the version as its C(parent).
    type: str
  adopt:
    description:
      - Make a libvirt domain of this name, that is no source VM yet, one where it is, running or not. Only a mark in
        its metadata is written. O(pool) is required.
      - Refused unless all its disks are files of format raw or qcow2 that no other domain uses.
    type: bool
    default: false
requirements:
  - python3-defusedxml (for O(source.ovf) and O(source.ova))
  - virt-v2v (for O(guest_conversion=virt_v2v))
"""
