"""``smarthostd demo``: the daemon at work between a real client and a sandbox smarthost, on this machine alone."""

from smarthostd.demo.walkthrough import demo

__all__ = ["demo"]
