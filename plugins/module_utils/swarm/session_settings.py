# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The settings of libtorrent's session (manual, "settings_pack"), and why they are not its defaults.

libtorrent is made for many strangers on slow lines; here few hosts of one owner share a fast network, and all want the
same disk at the same moment. docs/swarm.md has what was measured.
"""

from __future__ import annotations

from typing import Any

_NO_ENCRYPTION = 2  # enc_policy::pe_disabled: the old obfuscation of BitTorrent; TLS is below it already
_FASTEST_FIRST = 1  # seed_choking_algorithm::fastest_upload
_FIXED_SLOTS = 0  # choking_algorithm::fixed_slots_choker

# The inventory is the tracker: nothing is looked for, nothing is told to strangers, no hole is made in a firewall.
_SILENCE = {
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_ip_notifier": False,
}

# Others look for this host on the port that the inventory has: any other is of no use.
_ONE_PORT = {
    "listen_system_port_fallback": False,
    "max_retry_port_bind": 0,
}

# TLS over TCP only. uTP yields to all other traffic, and costs the processor several times as much.
_TRANSPORT = {
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "in_enc_policy": _NO_ENCRYPTION,
    "out_enc_policy": _NO_ENCRYPTION,
    "rate_limit_ip_overhead": False,
}

# Every peer is let have what it asks for: nobody takes without giving here, so that nobody need be kept waiting.
_GENEROSITY = {
    "unchoke_slots_limit": -1,
    "choking_algorithm": _FIXED_SLOTS,
    "seed_choking_algorithm": _FASTEST_FIRST,
    "connections_limit": 8000,
}

# A host that was away, or whose certificate was renewed, is looked for again within seconds, for as long as it takes.
_PERSISTENCE = {
    "min_reconnect_time": 3,
    "max_failcount": 20,
    "peer_connect_timeout": 10,
    "connection_speed": 100,
}

# A host whose link was cut says nothing more: what was asked of it is asked of others within seconds, not minutes.
_DEATH = {
    "piece_timeout": 10,
    "request_timeout": 20,
    "peer_timeout": 40,
}

# Little on its way from each peer, 1 MiB: what is asked for of one cannot be had from another that has it by now,
# and comes twice near the end; what is in a sender's buffer cannot be taken back. A small difference is all end.
_SHORT_QUEUES = {
    "request_queue_time": 1,
    "max_out_request_queue": 64,
    "send_buffer_watermark": 128 * 1024,
    "send_buffer_low_watermark": 64 * 1024,
}

_REPORTING = {
    "alert_queue_size": 20_000,
    "user_agent": "goldsmith.images",
}


def settings(address: str, port: int) -> dict[str, Any]:
    """Return the settings of a session that listens on the address and port, for TLS alone.

    It connects from the same address, so that others know it by the one that the inventory has.
    """
    host = f"[{address}]" if ":" in address else address
    own = {"listen_interfaces": f"{host}:{port}s", "outgoing_interfaces": address}
    return own | _SILENCE | _ONE_PORT | _TRANSPORT | _GENEROSITY | _PERSISTENCE | _DEATH | _SHORT_QUEUES | _REPORTING
