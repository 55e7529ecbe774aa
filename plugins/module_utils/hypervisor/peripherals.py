# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Firmware, TPM, screen and guest agent channel in a domain's definition (libvirt formatdomain).

An edit touches only what it names, and what cannot be there without it.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

AGENT_CHANNEL = "org.qemu.guest_agent.0"
_ARM = ("aarch64", "armv7l")
# What a graphics element keeps when it becomes one of another type.
_OF_EVERY_SCREEN = ("listen", "passwd", "passwdValidTo", "keymap")


def choose_firmware(domain: ET.Element, firmware: str) -> None:
    """Have libvirt choose a firmware of the kind C(bios), C(uefi) or C(uefi-secure); it has no variables yet.

    By its features: libvirt would take whatever the host happens to prefer.
    """
    system = domain.find("os")
    for element in [element for element in system if element.tag in ("firmware", "loader", "nvram")]:
        system.remove(element)
    system.attrib.pop("firmware", None)
    if firmware in ("uefi", "uefi-secure"):
        system.set("firmware", "efi")
        features = ET.Element("firmware")
        for name in ("secure-boot", "enrolled-keys"):
            ET.SubElement(features, "feature", enabled="yes" if firmware == "uefi-secure" else "no", name=name)
        system.insert(1, features)


def set_tpm(domain: ET.Element, wanted: bool) -> None:
    """Give the domain an emulated TPM 2.0, or none."""
    devices = domain.find("devices")
    for device in devices.findall("tpm"):
        devices.remove(device)
    if wanted:
        model = "tpm-tis" if domain.find("os/type").get("arch") in _ARM else "tpm-crb"
        device = ET.SubElement(devices, "tpm", model=model)
        ET.SubElement(device, "backend", type="emulator", version="2.0")


def read_graphics(domain: ET.Element) -> str:
    """Return the type of the domain's console, or C(none)."""
    graphics = domain.find("devices/graphics")
    return "none" if graphics is None else graphics.get("type", "")


def set_graphics(domain: ET.Element, kind: str) -> None:
    """Serve the domain's console by C(vnc) or C(spice), where it was served before, or not at all (C(none)).

    A new one is served on the loopback address. Channels that only SPICE has go with it.
    """
    devices = domain.find("devices")
    graphics = devices.find("graphics")
    if kind != "spice":
        for device in devices.findall("channel[@type='spicevmc']") + devices.findall("redirdev[@type='spicevmc']"):
            devices.remove(device)
        for audio in devices.findall("audio[@type='spice']"):
            audio.set("type", "none")
    if kind == "none":
        for device in devices.findall("graphics"):
            devices.remove(device)
        return
    if graphics is None:
        graphics = ET.SubElement(devices, "graphics", listen="127.0.0.1")
    for attribute in [name for name in graphics.attrib if name not in _OF_EVERY_SCREEN]:
        del graphics.attrib[attribute]
    for element in [element for element in graphics if element.tag != "listen"]:
        graphics.remove(element)
    graphics.attrib.update(type=kind, port="-1", autoport="yes")


def read_video(domain: ET.Element) -> str:
    """Return the model of the domain's first video card, or C(none)."""
    model = domain.find("devices/video/model")
    return "none" if model is None else model.get("type", "")


def set_video(domain: ET.Element, kind: str) -> None:
    """Make the domain's first video card one of the model, or take all away (C(none)).

    Its memory and its place in the machine belong to the model that it was, and go with that.
    """
    devices = domain.find("devices")
    cards = devices.findall("video")
    card = cards[0] if cards else ET.SubElement(devices, "video")
    for surplus in cards[1:] if kind == "none" else ():
        devices.remove(surplus)
    for element in list(card):
        card.remove(element)
    # The model "none" is an element too: without any, libvirt adds one of its own choice where there is a console.
    ET.SubElement(card, "model", type=kind)


def has_agent_channel(domain: ET.Element) -> bool:
    return bool(_agent_channels(domain))


def set_agent_channel(domain: ET.Element, wanted: bool) -> None:
    """Give the domain the channel of the QEMU guest agent, or take it away."""
    devices = domain.find("devices")
    for channel in _agent_channels(domain):
        devices.remove(channel)
    if wanted:
        channel = ET.SubElement(devices, "channel", type="unix")
        ET.SubElement(channel, "target", type="virtio", name=AGENT_CHANNEL)


def _agent_channels(domain: ET.Element) -> list[ET.Element]:
    channels = domain.findall("devices/channel")
    return [channel for channel in channels if channel.find(f"target[@name='{AGENT_CHANNEL}']") is not None]
