"""Tensors inside Triton's Python backend, by DLPack only.

The backend's own numpy conversion (`as_numpy`, `Tensor(name, array)`, and with it every STRING tensor) was built
against numpy 1: with numpy 2 it reads the first element over and over and writes nothing, without an error. So numbers
go by DLPack, and text as UINT8.
"""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

_TAKEN = b"used_dltensor"
_set_name = ctypes.pythonapi.PyCapsule_SetName
_set_name.argtypes = (ctypes.py_object, ctypes.c_char_p)
_set_name.restype = ctypes.c_int


def read(request: Any, name: str) -> Any:
    """A copy of the input `name`, flat: Triton's memory is gone when `execute` returns."""
    return np.from_dlpack(pb_utils.get_input_tensor_by_name(request, name)).reshape(-1).copy()


def respond(name: str, values: Sequence[Any] | bytes, kind: Any) -> Any:
    """A response with one output, `values` as one row of numpy type `kind`."""
    row = np.frombuffer(values, kind) if isinstance(values, bytes) else np.array(values, kind)
    capsule = row.reshape(1, -1).copy().__dlpack__()
    tensor = pb_utils.Tensor.from_dlpack(name, capsule)
    # Triton marks the capsule as taken by a name that numpy does not know, which numpy then reports each time.
    _set_name(capsule, _TAKEN)
    return pb_utils.InferenceResponse([tensor])


def answer(sender: Any, response: Any) -> None:
    """Send the one response of a request."""
    sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def refuse(sender: Any, reason: str) -> None:
    """End a request with an error; `reason` carries nothing that was spoken."""
    answer(sender, pb_utils.InferenceResponse(error=pb_utils.TritonError(reason)))
