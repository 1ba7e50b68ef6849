# SPDX-License-Identifier: GPL-2.0-only
"""Test points in TAP, for the test programs beside this file."""

import os
import sys
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAB = os.path.join(ROOT, "tools/lab/lab")
sys.path.insert(0, os.path.dirname(LAB))

SKIP = 77


def need_root():
    if os.geteuid() != 0:
        print("needs root, for network namespaces")
        sys.exit(SKIP)


class Skip(Exception):
    """What a test is skipped for."""


class Points:
    def __init__(self, planned):
        self.count, self.failed = 0, 0
        print(f"1..{planned}", flush=True)

    def point(self, good, name, output="", skip=""):
        """skip: why it could not run."""
        self.count += 1
        self.failed += not (good or skip)
        print(f"{'ok' if good or skip else 'not ok'} {self.count} - {name}"
              + (f" # SKIP {skip}" if skip else ""))
        for line in output.splitlines():
            print(f"# {line}")
        sys.stdout.flush()

    def status(self):
        return 1 if self.failed else 0


def run_tests(tests, points=None):
    """A test is a function whose name is a sentence; it raises if it fails. points: of several such
    lists. Returns the status."""
    points = points or Points(len(tests))
    for test in tests:
        try:
            test()
            points.point(True, test.__name__)
        except Skip as why:
            points.point(False, test.__name__, skip=str(why))
        except Exception:  # whatever is wrong is a failure of this test
            points.point(False, test.__name__, traceback.format_exc())
    return points.status()
