# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is done to the cables and the power of a lab's hosts."""

from __future__ import annotations

from dataclasses import dataclass

from .lab import Lab
from .links import Cable, Shape, Traffic, require_way
from .process import run


@dataclass(frozen=True)
class Wiring:
    """The cables of a lab. Whatever is asked of a host that does not run raises L(LabError)."""

    lab: Lab

    def link(self, name: str, rate: int | None, to: str | None = None) -> None:
        """Give a host's link another rate, in bits per second and in each direction, or its way to a host or a pod.

        None takes the limit away, that of the link with those of all ways. It holds until the lab is down.
        """
        if to is not None:
            require_way(to)
        cable = self._cable(name)
        with self.lab.locked():
            file = self.lab.shape_file(name)
            shape = Shape.read(file).changed(to, rate)
            shape.write(file)
            cable.shape(shape, self.lab.others(name, self.lab.subnet()))

    def cut(self, name: str) -> None:
        """Pull a host's cable out: it reaches nobody, nor we it, until L(mend)."""
        self._cable(name).pull()

    def mend(self, name: str) -> None:
        """Put a host's cable back."""
        self._cable(name).plug()

    def crash(self, name: str) -> None:
        """Take a host's power away. L(Lab.up) starts it again, with its disks as they are."""
        run("podman", "kill", "--signal", "KILL", self.lab.running(name).name)

    def traffic(self) -> dict[str, Traffic]:
        """What went over the cables of the hosts that run."""
        containers, subnet = self.lab.containers(), self.lab.subnet()
        running = sorted(name for name, container in containers.items() if container.state == "running")
        return {name: self._cable(name).traffic(self.lab.others(name, subnet)) for name in running}

    def _cable(self, name: str) -> Cable:
        return Cable.of(self.lab.running(name).process)
