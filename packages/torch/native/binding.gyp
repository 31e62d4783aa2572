# The addon: every .cc file of this folder, against the libtorch that the set-up script found (its folders come as variables),
# and every .cc file of kernels/ once per instruction set, of which the addon chooses when it runs (kernels/dispatch.h).
# libtorch_cpu, libc10 and the OpenMP library they load are linked by name, not libtorch (it wants libtorch_cuda, which cuda.cc loads
# where a GPU is asked for).
# OpenMP is on for compiling only: linking with -fopenmp could load a second OpenMP library beside libtorch's. macOS has no
# header for it, so loops of our own run on one thread there (untested).
# A worker that ends unloads its addons; nodelete keeps this one, whose allocator libtorch goes on calling.
{
  "variables": {
    "libtorch_include%": "",
    "libtorch_lib%": "",
    "libtorch_openmp%": "",
  },
  "target_defaults": {
    "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
    "target_conditions": [
      [
        "_type=='static_library'",
        {
          "sources": ["<!@(node -p \"require('fs').readdirSync('kernels').filter((name) => name.endsWith('.cc')).sort().map((name) => 'kernels/' + name).join(' ')\")"],
          "defines": ["KERNEL_NAMESPACE=>(_target_name)"],
          "cflags_cc": [
            "-std=c++20",
            "-fopenmp-simd",
            "-ffp-contract=fast",
            "-fno-math-errno",
            "-fno-trapping-math",
            "-Wno-unknown-pragmas",
          ],
          "xcode_settings": {
            "CLANG_CXX_LANGUAGE_STANDARD": "c++20",
            "GCC_OPTIMIZATION_LEVEL": "3",
            "MACOSX_DEPLOYMENT_TARGET": "11.0",
            "OTHER_CPLUSPLUSFLAGS": ["-fopenmp-simd", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"],
          },
        },
      ],
    ],
  },
  "targets": [
    {
      "target_name": "torch",
      "sources": ["<!@(node -p \"require('fs').readdirSync('.').filter((name) => name.endsWith('.cc')).sort().join(' ')\")"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")", "gloo-headers"],
      "dependencies": ["portable"],
      "defines": ["NAPI_VERSION=8", "_GLIBCXX_USE_CXX11_ABI=1"],
      "cflags!": ["-O3"],
      "cflags": ["-O2"],
      "configurations": {"Release": {"cflags!": ["-O3"], "cflags_cc!": ["-O3"]}},
      "cflags_cc": [
        "-std=c++20",
        "-fopenmp",
        "-isystem<(libtorch_include)",
        "-isystem<(libtorch_include)/torch/csrc/api/include",
      ],
      "library_dirs": ["<(libtorch_lib)"],
      "libraries": ["-ltorch_cpu", "-lc10"],
      "conditions": [
        ["target_arch=='x64'", {"dependencies": ["avx2", "avx512", "avx512bf16"]}],
        ["libtorch_openmp!=''", {"libraries": ["<(libtorch_openmp)"]}],
        ["OS=='linux'", {"ldflags": ["-Wl,-rpath,<(libtorch_lib)", "-Wl,-z,nodelete"]}],
        [
          "OS=='mac'",
          {
            "xcode_settings": {
              "CLANG_CXX_LANGUAGE_STANDARD": "c++20",
              "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
              "GCC_ENABLE_CPP_RTTI": "YES",
              "MACOSX_DEPLOYMENT_TARGET": "11.0",
              "OTHER_CPLUSPLUSFLAGS": [
                "-isystem<(libtorch_include)",
                "-isystem<(libtorch_include)/torch/csrc/api/include",
              ],
              "OTHER_LDFLAGS": ["-Wl,-rpath,<(libtorch_lib)"],
            }
          },
        ],
      ],
    },
    {"target_name": "portable", "type": "static_library"},
  ],
  "conditions": [
    [
      "target_arch=='x64'",
      {
        "targets": [
          {
            "target_name": "avx2",
            "type": "static_library",
            "cflags_cc": ["-mavx2", "-mfma"],
            "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["-mavx2", "-mfma"]},
          },
          {
            "target_name": "avx512",
            "type": "static_library",
            "variables": {"flags": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"]},
            "cflags_cc": ["<@(flags)"],
            "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<@(flags)"]},
          },
          {
            "target_name": "avx512bf16",
            "type": "static_library",
            "variables": {"flags": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512bf16", "-mfma", "-mprefer-vector-width=512"]},
            "cflags_cc": ["<@(flags)"],
            "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<@(flags)"]},
          },
        ]
      },
    ],
  ],
}
