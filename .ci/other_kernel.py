"""Print environment variables under which BLAS and NumPy compute as on another processor than this one."""

import platform

import numpy as np
from threadpoolctl import threadpool_info

SSE_KERNEL, AVX2_KERNEL = "Nehalem", "Haswell"
AVX512 = ("X86_V4", "AVX512_SKX")  # names of these features in NumPy from 2.4 on, and before


def settings() -> list[str]:
    """Settings under which OpenBLAS and NumPy compute as on an older processor; none where it is not x86."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return []
    kernels = {library.get("architecture", "") for library in threadpool_info()}
    found = [f"OPENBLAS_CORETYPE={AVX2_KERNEL if SSE_KERNEL in kernels else SSE_KERNEL}"]
    try:
        from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
    except ImportError:  # NumPy 1
        from numpy.core._multiarray_umath import __cpu_dispatch__, __cpu_features__
    cut = [name for name in AVX512 if name in __cpu_dispatch__ and __cpu_features__.get(name)]
    return found + ([f"NPY_DISABLE_CPU_FEATURES={' '.join(cut)}"] if cut else [])


if __name__ == "__main__":
    assert np.dot(np.ones(2), np.ones(2)) == 2  # loads BLAS, which threadpoolctl then finds
    print("\n".join(settings()))
