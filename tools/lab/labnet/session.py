# SPDX-License-Identifier: GPL-2.0-only
"""A run of the lab, and how it leaves nothing behind.

Nothing that a run makes has a name outside it. Its namespaces are bound to /run/netns of a private
mount namespace and its files lie on a tmpfs there, so all of it lives exactly as long as a process
of the run. Three processes see to it that no process stays:

    lab (the user's)  --pipe-->  supervisor  --parent of-->  runner  -->  everything else

The supervisor is the subreaper of the run: whatever loses its parent becomes its child. When the
runner ends, or the user's process does (the pipe closes), it kills all that descends from it. When
the supervisor is killed itself, the kernel kills the runner and its children (PR_SET_PDEATHSIG) and
the user's process ends the rest, which it knows by the run's tag in their environment. Only if that
is killed too, at once, is anything left; `lab clean` ends all whose supervisor is no more.
"""

import glob
import os
import select
import signal
import subprocess
import sys
import time

from . import kernel

TAG = "TCPSTALL_LAB_RUN"
SCRATCH = "/run/netns"  # /run/netns/NAME are the namespaces, /run/netns/.run/ the files
FILES = SCRATCH + "/.run"


# Control groups of a run, "controller/tcpstall-lab-PID of the supervisor". They outlive processes.
_CGROUP = "/sys/fs/cgroup/{}/tcpstall-lab-{}"


class LabError(Exception):
    """What went wrong, for a person, in one line."""


class Unavailable(LabError):
    """This machine cannot do it: a skip, not a failure."""


NOT_HERE = 77  # exit status of that

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.path.join(_ROOT, os.environ.get("BUILD") or "build")
TCPSTALL, WIRE = os.path.join(BUILD, "tcpstall"), os.path.join(BUILD, "wire")
STORE = None  # directory in which tcpstall keeps incidents


def start_time(pid):
    """Start time of a process in clock ticks since boot: with the pid, an identity. None: no such,
    or dead and only not yet waited for."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
            return None if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return None


def children_of(pid):
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as children:
                found += [int(child) for child in children.read().split()]
    except OSError:
        pass
    return found


def descendants_of(pid):
    found, queue = [], [pid]
    while queue:
        for child in children_of(queue.pop()):
            found.append(child)
            queue.append(child)
    return found


def _kill_descendants():
    """Ends and reaps everything below this process. Each pass can meet orphans of the one before."""
    for _ in range(1000):
        for pid in descendants_of(os.getpid()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)  # a killed process takes a moment to become a zombie


def control_group(controller):
    """The path of a new control group (version 1) of this run."""
    path = _CGROUP.format(controller, os.environ[TAG].partition(".")[0])
    try:
        os.mkdir(path)
    except OSError as error:
        raise Unavailable(f"no control groups for {controller}: {error.strerror}") from error
    return path


def _remove_control_groups(supervisor):
    """Their processes have ended."""
    for path in glob.glob(_CGROUP.format("*", supervisor)):
        os.rmdir(path)


def _private_mounts():
    os.makedirs(SCRATCH, exist_ok=True)
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount(None, "/", flags=kernel.MS_REC_PRIVATE)
    kernel.mount("lab", SCRATCH, "tmpfs", kernel.MS_NOSUID_NODEV, "mode=755,size=4g")
    os.mkdir(FILES)
    os.chmod(FILES, 0o1777)


def _runner(function, parent):
    kernel.die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        _private_mounts()
        status = function()
    except KeyboardInterrupt:
        status = 130
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        status = NOT_HERE if isinstance(error, Unavailable) else 1
    except BrokenPipeError:
        status = 1
    except Exception:  # the status must reach the user whatever happened
        sys.excepthook(*sys.exc_info())
        status = 1
    try:
        sys.stdout.flush()
    except OSError:
        pass
    os._exit(status or 0)


def _supervise(function, alive, limit_s):
    kernel.become_subreaper()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: for the runner, which ends
    signal.signal(signal.SIGTERM, lambda *_: None)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    os.environ[TAG] = f"{os.getpid()}.{start_time(os.getpid())}"
    me = os.getpid()
    runner = os.fork()
    if runner == 0:
        signal.set_wakeup_fd(-1)
        for fd in (alive, wake_read, wake_write):
            os.close(fd)
        _runner(function, me)
    runner_fd = os.pidfd_open(runner)
    select.select([alive, runner_fd, wake_read], [], [], limit_s)
    status = 1
    if select.select([runner_fd], [], [], 0)[0]:
        status = os.waitstatus_to_exitcode(os.waitpid(runner, 0)[1])
    _kill_descendants()
    _remove_control_groups(me)
    os._exit(status if status >= 0 else 128 - status)


def run_contained(function, limit_s=None):
    """Runs function() in a process of its own, in private mounts, and ends all that it started, at
    the latest after limit_s. Returns its status."""
    sys.stdout.flush()
    sys.stderr.flush()
    end_read, end_write = os.pipe()
    supervisor = os.fork()
    if supervisor == 0:
        os.close(end_write)
        _supervise(function, end_read, limit_s)
    os.close(end_read)

    def end(signum, _frame):
        nonlocal end_write
        if end_write >= 0:
            os.close(end_write)
            end_write = -1
        signal.signal(signum, signal.SIG_IGN)

    old = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    old[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        status = os.waitstatus_to_exitcode(os.waitpid(supervisor, 0)[1])
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        if end_write >= 0:
            os.close(end_write)
    if status < 0:
        clean()  # the supervisor was killed
    return status if status >= 0 else 128 - status


def _tag_of(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as environ:
            for entry in environ.read().split(b"\0"):
                if entry.startswith(TAG.encode() + b"="):
                    return entry.split(b"=", 1)[1].decode("ascii", "replace")
    except OSError:
        pass
    return None


def orphans():
    """Processes of runs whose supervisor is gone."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        tag = _tag_of(name)
        if tag is None:
            continue
        pid, _, started = tag.partition(".")
        if not pid.isdigit() or start_time(pid) != started:
            found.append(int(name))
    return found


def clean():
    """Ends what dead runs left. Returns how many processes that were."""
    total = 0
    for _ in range(100):
        found = [pid for pid in orphans() if pid != os.getpid()]
        if not found:
            break
        total += len(found)
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.02)
    for path in glob.glob(_CGROUP.format("*", "*")):
        if not os.path.exists(f"/proc/{path.rpartition('-')[2]}"):
            os.rmdir(path)
    return total


def start(command, netns=None, user=None, **options):
    """Starts a program that dies with this process, in a network namespace (a path), as a user (an
    entry of pwd), and returns its Popen."""
    parent = os.getpid()
    netns_fd = os.open(netns, os.O_RDONLY) if netns else -1

    def prepare():
        if netns_fd >= 0:
            kernel.setns(netns_fd, kernel.CLONE_NEWNET)
        if user is not None:
            os.initgroups(user.pw_name, user.pw_gid)
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
        kernel.die_with_parent(parent)

    try:
        return subprocess.Popen(command, preexec_fn=prepare, **options)
    except FileNotFoundError as error:
        raise LabError(f"{command[0]}: not found; see `make deps`") from error
    finally:
        if netns_fd >= 0:
            os.close(netns_fd)


def call(command, netns=None, text_in=None, limit_s=20):
    """Runs a program to its end; its output. LabError with its own words if it fails."""
    child = start(command, netns, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                  stderr=subprocess.STDOUT, text=True)
    try:
        output, _ = child.communicate(text_in, timeout=limit_s)
    except subprocess.TimeoutExpired:
        child.kill()
        raise LabError(f"{' '.join(command)}: no end after {limit_s:g} s") from None
    if child.returncode:
        raise LabError(f"{' '.join(command)}: {output.strip()[-300:]}")
    return output
