"""libwally as an oracle, kept from crashing the interpreter's end.

Its binding frees its type table in an order of its own when the interpreter ends, and reads it afterwards. One
reference too many to that table leaves it to the operating system, which is where it was going.
"""

from __future__ import annotations

import ctypes
import sys

import wallycore

__all__ = ["wallycore"]

for _name, _module in list(sys.modules.items()):
    if _name.startswith("swig_runtime_data"):
        for _value in vars(_module).values():
            if type(_value).__name__ == "PyCapsule":
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(_value))
