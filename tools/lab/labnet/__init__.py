# SPDX-License-Identifier: GPL-2.0-only
"""Networks in namespaces, with faults, to test tcpstall on. See tools/lab/lab."""
