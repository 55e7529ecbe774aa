# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: source_vm
version_added: 0.1.0
short_description: Keep a source VM, in which a desktop image is built
description:
  - A source VM is a libvirt domain in which an operating system and its applications are installed, and from which
    M(goldsmith.images.desktop_image) publishes versions.
  - A new VM gets hardware that suits its OS from C(virt-install) and osinfo-db, once. Later runs change what is said in
    the task and differs; what is not said is left alone, and so is everything in the domain that this module does
    not know.
  - Changes are made while the VM runs where that is possible. What needs the VM powered off is refused while it runs,
    with the list of it, unless O(power_off=if_needed). With O(state=stopped) and O(state=restarted) the VM is shut down
    first, and then changed. Which change needs what is told by the page C(docs/hardware-editing.md) of the collection.
  - A VM comes into being whole or not at all. What a killed run left is finished or cleared away by the next run.
options:
  name:
    description: Name of the source VM, and of its libvirt domain. 1 to 64 of the characters A-Z a-z 0-9 . _ -
    type: str
    required: true
  state:
    description:
      - V(present) keeps the VM defined, running or not.
      - V(running) starts it, or resumes it when it is paused.
      - V(stopped) has it shut down, by its guest agent, then by its power button.
      - V(paused) stops its processors, and keeps its memory. V(resumed) lets them go on. The VM must not be stopped.
      - V(restarted) shuts it down as V(stopped) does, and starts it. A VM that is stopped is started. Always a change.
      - V(reset) presses its reset button, without asking the guest, which loses what it has not written yet. The VM
        must run. Always a change.
      - V(absent) removes it with its UEFI variables and TPM state. Refused while it runs, unless O(force=true).
        Its disks stay, unless O(remove_disks=true). A VM with snapshots is refused without that.
    type: str
    choices: [present, running, stopped, paused, resumed, restarted, reset, absent]
    default: present
  pool:
    description:
      - Image pool that holds its disks, its UEFI variables and its tool images. Required for a new VM, unless it is
        a clone.
      - A VM does not move to another pool.
      - With O(state=absent) it is needed only to clear away what is left of a VM whose domain is gone already.
    type: str
  desktop_type:
    description:
      - What the image is for. An ARM host has V(vdi) only.
      - A new VM without it is of type V(vdi).
    type: str
    choices: [vdi, idv, voi]
  os:
    description:
      - Operating system by its libosinfo short id, as V(debian12), V(win11) or V(ubuntu24.04).
      - Where the host's osinfo-db does not know it, a new VM gets the hardware of the newest release of the same
        family that it knows, or of V(generic). RV(source_vm.os_profile) says which.
      - A new VM without it is V(generic).
    type: str
  description:
    description: What the VM is, for people.
    type: str
  vcpus:
    description:
      - Number of processors. A new VM without it has 2.
      - A running VM gets more of them up to RV(source_vm.max_vcpus). Any other change needs it powered off.
    type: int
  cores_per_socket:
    description:
      - How many of the processors make up a socket, as some systems use a limited number of sockets only. O(vcpus) must
        be divisible by it.
      - A new VM without it has a socket for each processor. A change needs the VM powered off.
    type: int
  memory:
    description:
      - Memory, as V(4GiB) or V(512 MiB); rounded up to whole MiB. A new VM without it has 2 GiB. A change needs the VM
        powered off.
    type: str
  disks:
    description:
      - Disks, in the order of RV(source_vm.disks). Each is new (O(disks[].size) alone), a copy of a file
        (O(disks[].copy_from)), or a file itself (O(disks[].path)).
      - The disks of an existing VM are compared with it, in order. A size that is larger grows the disk, also while the
        VM runs; a smaller one is refused. More disks than it has are added after those, while it runs where the bus
        allows it (V(virtio), V(usb), and V(scsi) with a virtio controller). Fewer are refused, see O(detach_disks).
      - The file systems in a disk that has grown are grown in the guest.
    type: list
    elements: dict
    suboptions:
      size:
        description:
          - Size of a new disk, as V(20GiB). It takes up room as it is filled.
          - With O(disks[].copy_from), the size to which the copy is grown.
          - Of an existing disk, of whatever kind, the size that it is grown to.
        type: str
      path:
        description:
          - An existing file on the host that becomes the disk where it lies. Refused while any domain uses it, also as
            the base of an overlay, and when it belongs to a published image.
          - It is not removed with the VM by O(remove_disks), unless it lies in the pool under the name of a disk of
            this VM.
        type: path
      copy_from:
        description: An existing file on the host that is copied into the pool. Refused while a running domain uses it.
        type: path
      format:
        description:
          - Format of a new disk, by default V(qcow2). That of an existing file must be said unless it is V(qcow2), and
            is not guessed; a copy has the same.
          - A qcow2 file that stands on a backing file or an external data file is refused.
        type: str
        choices: [qcow2, raw]
      bus:
        description:
          - Bus of the disk. Without it, what suits the OS; a disk that is added gets that of the last one.
          - libvirt keeps the disks of a bus together, so a further disk is refused on a bus where it would not be
            the last.
        type: str
        choices: [virtio, scsi, sata, ide, usb]
  detach_disks:
    description:
      - Paths (RV(source_vm.disks[].path)) of disks that the VM shall not have. O(disks) is compared with the others.
      - The files stay. A running guest must let go of the disk, for which its agent must be there and no file system
        of it mounted; else it needs the VM powered off.
    type: list
    elements: path
    default: []
  networks:
    description:
      - Network cards. A new VM without it has one in the libvirt network C(default). An empty list gives none.
      - An existing card is connected to another network or bridge while the VM runs; more or fewer cards, another model
        or MAC address need it powered off.
    type: list
    elements: dict
    suboptions:
      network:
        description: Name of a libvirt network, which must be active.
        type: str
      bridge:
        description: Name of a bridge of the host.
        type: str
      model:
        description: Model of the card, as V(virtio) or V(e1000e). Without it, what suits the OS.
        type: str
      mac:
        description: MAC address. Without it, libvirt chooses one.
        type: str
  tool_images:
    description:
      - Names of the tool images of the pool that are mounted, exactly these. An empty list unmounts all.
      - They are changed while the VM runs. Media that are no tool images stay in their drives.
      - A new VM has a CD-ROM drive for each, and two at least, on virtio-scsi for Linux and on SATA for Windows and
        unknown systems. More drives than that need it powered off.
    type: list
    elements: str
  build:
    description:
      - Digests of the build steps that were done in the VM, in order. Role goldsmith.images.guest_build writes them,
        and passes over the steps that are recorded. They are kept in the metadata of the domain.
      - A list replaces the one there; an empty list has the next build begin anew.
    type: list
    elements: str
  autostart:
    description: Whether libvirt starts the VM with the host. A new VM without it does not.
    type: bool
  power_off:
    description:
      - What happens when a running VM has to be off for a change. V(never) refuses, and names the changes.
      - V(if_needed) shuts it down as O(state=stopped) does, makes all changes, and starts it again.
    type: str
    choices: [never, if_needed]
    default: never
  allow_unbootable:
    description:
      - Make changes after which the installed OS may not boot any more, that is another O(firmware), and O(tpm=false).
    type: bool
    default: false
  wait_for_agent:
    description:
      - Wait until the guest agent answers, with O(state) V(running), V(resumed), V(restarted) or V(reset), and when a
        change had the VM started again.
    type: bool
    default: false
  timeout:
    description: Seconds to wait for the guest agent, for a VM to shut down, and for a guest to let go of a disk.
    type: int
    default: 300
  force:
    description:
      - Pull the plug when a VM that is to shut down has not done so after O(timeout) seconds, and of one that
        is paused.
      - With O(state=absent), pull the plug of a running VM at once.
      - Take a tool image out of a drive that the guest keeps locked.
    type: bool
    default: false
  remove_disks:
    description:
      - With O(state=absent), remove the disks too that this module made for the VM, that is C(NAME.diskN.FORMAT) in the
        directory C(source-vms) of the pool, and its snapshots. Adopted files elsewhere stay. Refused while another
        domain uses one, and while snapshots stand on an adopted file.
    type: bool
    default: false
extends_documentation_fragment:
  - goldsmith.images.source_vm.machine
  - goldsmith.images.source_vm.origins
  - goldsmith.images.trusted_signers
  - goldsmith.images.libvirt
  - goldsmith.images.libvirt.changing
  - goldsmith.images.progress
requirements:
  - virt-install, libosinfo with osinfo-db and its Python binding, qemu-img (for a new VM)
seealso:
  - module: goldsmith.images.source_vm_info
  - module: goldsmith.images.source_vm_snapshot
  - module: goldsmith.images.appliance_info
  - module: goldsmith.images.guest_exec
  - module: goldsmith.images.tool_image
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Make a Debian source VM with an installer mounted, and start it
  goldsmith.images.source_vm:
    name: office-src
    pool: golden
    os: debian12
    vcpus: 2
    memory: 2GiB
    disks:
      - size: 20GiB
    tool_images: [debian-12-netinst]
    state: running

- name: Make a source VM from a disk image, larger than that, and wait for its guest agent
  goldsmith.images.source_vm:
    name: office-src
    pool: golden
    os: debian12
    disks:
      - copy_from: /srv/cloud/debian-12-genericcloud-amd64.qcow2
        size: 20GiB
    state: running
    wait_for_agent: true

- name: Make a Windows 11 source VM for IDV endpoints
  goldsmith.images.source_vm:
    name: kiosk-src
    pool: golden
    desktop_type: idv
    os: win11
    vcpus: 4
    memory: 8GiB
    firmware: uefi-secure
    tpm: true
    disks:
      - size: 64GiB
        bus: virtio
    tool_images: [win11, virtio-win]

- name: Import an appliance
  goldsmith.images.source_vm:
    name: office-src
    pool: golden
    source:
      ova: /srv/import/office.ova
      networks:
        VM Network: default
    memory: 4GiB

- name: Import a disk from Hyper-V for IDV endpoints
  goldsmith.images.source_vm:
    name: kiosk-src
    pool: golden
    desktop_type: idv
    os: win10
    source:
      disk: /srv/import/kiosk.vhdx

- name: Copy a source VM
  goldsmith.images.source_vm:
    name: lab-src
    clone_of: office-src
    description: Office with the software of the lab

- name: Work on the version after 1.1
  goldsmith.images.source_vm:
    name: office-next
    pool: golden
    from_image: office@1.1
    state: running

- name: Take over a VM that was made by hand
  goldsmith.images.source_vm:
    name: web1
    pool: golden
    os: debian12
    adopt: true

- name: Unmount everything
  goldsmith.images.source_vm:
    name: office-src
    tool_images: []

- name: Shut it down, and give it more memory
  goldsmith.images.source_vm:
    name: office-src
    memory: 4GiB
    state: stopped

- name: Give it more of everything, a second disk, and a restart if that is needed
  goldsmith.images.source_vm:
    name: office-src
    vcpus: 4
    cores_per_socket: 4
    memory: 8GiB
    disks:
      - size: 40GiB
      - size: 10GiB
    power_off: if_needed
    wait_for_agent: true

- name: Take the second disk away again; its file stays
  goldsmith.images.source_vm:
    name: office-src
    detach_disks: [/srv/golden/source-vms/office-src.disk1.qcow2]

- name: Boot from the installer's medium, then from the disk
  goldsmith.images.source_vm:
    name: office-src
    boot: [cdrom, hd]
    state: restarted

- name: Remove it with the disks that were made for it
  goldsmith.images.source_vm:
    name: office-src
    state: absent
    remove_disks: true
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, as sentences.
  returned: success
  type: list
  elements: str
  sample:
    - "create source VM office-src (/srv/golden/source-vms/office-src.disk0.qcow2: new, 20 GiB)"
    - start source VM office-src
source_warnings:
  description:
    - What is to be known of an import that was made, or in check mode would be made, as sentences, for example a
      certificate that was not checked or a network that is not here.
  returned: success
  type: list
  elements: str
  sample: ["the signature in office.cert is not checked; digests of the manifest are"]
source_vm:
  description: The VM as it is now; in check mode as it was found. V(null) when it is absent.
  returned: success
  type: dict
  contains:
    name: {description: Name of the domain., type: str, returned: always}
    uuid: {description: UUID of the domain., type: str, returned: always}
    state: {description: "State: running, paused or stopped.", type: str, returned: always}
    pool: {description: Image pool that it belongs to., type: str, returned: always}
    origin:
      description: Where it came from. V(null) for a VM that was made before this was recorded.
      type: str
      returned: always
      sample: ova /srv/import/office.ova
    desktop_type: {description: "Desktop type: vdi, idv or voi.", type: str, returned: always}
    os: {description: Short id of its OS as it was said., type: str, returned: always}
    os_profile:
      description: >-
        Short id of the OS whose hardware defaults it got. Differs from RV(source_vm.os) where osinfo-db did not know
        that.
      type: str
      returned: always
      sample: debian11
    description: {description: Its description., type: str, returned: always}
    virt_type: {description: "How it runs: kvm, or qemu (emulation).", type: str, returned: always}
    vcpus: {description: Number of processors., type: int, returned: always}
    cores_per_socket: {description: Number of cores that a socket has., type: int, returned: always}
    max_vcpus:
      description: Number of processors that it can get while it runs.
      type: int
      returned: always
    memory: {description: Memory in bytes., type: int, returned: always}
    firmware: {description: "Firmware: bios, uefi or uefi-secure.", type: str, returned: always}
    secure_boot: {description: Whether it boots signed code only., type: bool, returned: always}
    tpm: {description: Whether it has a TPM., type: bool, returned: always}
    boot:
      description: "From what it boots, in order: hd, cdrom, network."
      type: list
      elements: str
      returned: always
    graphics: {description: "Its console: vnc, spice or none.", type: str, returned: always}
    video: {description: "Model of its video card, or none.", type: str, returned: always, sample: virtio}
    agent_channel: {description: Whether it has the channel of the guest agent., type: bool, returned: always}
    console:
      description: Where its console is served on the host. V(null) while it does not run.
      type: str
      returned: always
      sample: vnc://127.0.0.1:5900
    agent_connected: {description: Whether the guest agent in it is there., type: bool, returned: always}
    addresses_from:
      description: >-
        Who told RV(source_vm.networks[].addresses): V(agent), the guest agent, or V(lease), libvirt's DHCP server.
        V(null) when nobody did. In check mode the agent is not asked.
      type: str
      returned: always
    autostart: {description: Whether it starts with the host., type: bool, returned: always}
    disks:
      description: Its disks, without CD-ROM drives.
      type: list
      elements: dict
      returned: always
      contains:
        target: {description: Name of the device., type: str, returned: always, sample: vda}
        path:
          description: File on the host that the VM writes to. With snapshots it is a qcow2 overlay on the disk.
          type: str
          returned: always
        format: {description: "Format: qcow2 or raw.", type: str, returned: always}
        bus: {description: Bus on which the guest sees it., type: str, returned: always}
        virtual_size:
          description: Size that the guest sees, in bytes. V(null) when the file cannot be read.
          type: int
          returned: always
        allocated:
          description: Bytes that the file takes up. V(null) when the file cannot be read.
          type: int
          returned: always
    networks:
      description: Its network cards.
      type: list
      elements: dict
      returned: always
      contains:
        network: {description: libvirt network., type: str, returned: always}
        bridge: {description: Bridge of the host., type: str, returned: always}
        model: {description: Model of the card., type: str, returned: always}
        mac: {description: MAC address., type: str, returned: always}
        addresses:
          description: IP addresses, without link-local ones.
          type: list
          elements: str
          returned: always
    build:
      description: Digests of the build steps that were done in it, in order.
      type: list
      elements: str
      returned: always
    snapshots: {description: "Names of its snapshots, the oldest first.", type: list, elements: str, returned: always}
    tool_images: {description: Names of the tool images that are mounted., type: list, elements: str, returned: always}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import connection
from ansible_collections.goldsmith.images.plugins.module_utils.reconcile import run
from ansible_collections.goldsmith.images.plugins.module_utils.resources import source_vm


def main() -> None:
    module = AnsibleModule(argument_spec=source_vm.OPTIONS | connection.OPTIONS, supports_check_mode=True)
    run(module, source_vm.SourceVm)


if __name__ == "__main__":
    main()
