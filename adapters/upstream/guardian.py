"""Children die with the proxy, even where it is killed and can do nothing more about it.

A shell of its own session, not our child, reads a pipe whose other end we alone hold: when we are gone, however that
came about, the pipe ends, and the shell kills the process groups it was told of, and on Linux what their members have
started in groups of their own. It stops the groups first: a child that sees its stdin end would otherwise be gone
before anybody asked whose parent it was. Who forks twice, so that its parent is init, is beyond it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
from typing import Final

from fuseboard.adapters.upstream.descendants import kill, strays

_log = logging.getLogger("fuseboard.upstream")

_SHELL: Final = "/bin/sh"

# Runs in the background of a shell that ends at once: nobody has to reap it, and no list of our children shows it.
# A shell gives what runs in its background an empty stdin, hence the detour over 3. In dash `kill -9 --` is an error.
_SCRIPT: Final = """
exec 3<&0
{
    trap '' HUP INT TERM
    groups=' '
    while read -r what group; do
        case $what in
            +) groups="$groups$group " ;;
            -) groups="${groups%" $group "*} ${groups#*" $group "}" ;;
        esac
    done
    for group in $groups; do kill -s STOP -- "-$group"; done
    pids=' '
    grown=yes
    while [ "$grown" ]; do
        grown=
        for stat in /proc/[0-9]*/stat; do
            read -r line < "$stat" || continue
            pid=${stat#/proc/}
            pid=${pid%/stat}
            set -- ${line##*) }
            case "$pids" in *" $pid "*) continue ;; esac
            case "$groups$pids" in
                *" $3 "*|*" $2 "*) pids="$pids$pid "; grown=yes ;;
            esac
        done
    done
    for group in $groups; do kill -s KILL -- "-$group"; done
    for pid in $pids; do kill -s KILL "$pid"; done
} <&3 3<&- &
"""


class Guardian:
    """Knows the process groups of our children. The shell is started with the first of them."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._pipe: int | None = None

    def watch(self, group: int) -> None:
        """From now on this group dies with us."""
        self._groups.add(group)
        if self._pipe is None or not self._told(f"+ {group}\n"):
            self._start()

    def forget(self, group: int) -> None:
        """The group has ended; its number may soon be somebody else's."""
        if group in self._groups:
            self._groups.remove(group)
            self._told(f"- {group}\n")

    def kill(self) -> None:
        """SIGKILL to every group, now."""
        for group in self._groups:
            gone_astray = strays(group)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
            kill(gone_astray)

    def close(self) -> None:
        """Let the shell go. It kills what is still being watched."""
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    def _start(self) -> None:
        self.close()
        theirs, ours = os.pipe()
        try:
            subprocess.run(
                [_SHELL, "-c", _SCRIPT],
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as fault:
            _log.warning("children would outlive a kill -9 of the proxy: %s", fault)
            os.close(ours)
            return
        finally:
            os.close(theirs)
        self._pipe = ours
        self._told("".join(f"+ {group}\n" for group in sorted(self._groups)))

    def _told(self, lines: str) -> bool:
        if self._pipe is None:
            return False
        try:
            os.write(self._pipe, lines.encode())
        except OSError:  # somebody killed the shell; the next child starts another
            self.close()
            return False
        return True
