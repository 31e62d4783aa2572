# The addon: every .cc file of this folder, against the libtorch that the set-up script found (its folders come as variables).
# libtorch_cpu, libc10 and the OpenMP library they load are linked by name, not libtorch (it wants libtorch_cuda).
# OpenMP is on for compiling only: linking with -fopenmp could load a second OpenMP library beside libtorch's. macOS has no
# header for it, so loops of our own run on one thread there (untested).
{
  "variables": {
    "libtorch_include%": "",
    "libtorch_lib%": "",
    "libtorch_openmp%": "",
    "libtorch_cuda%": 0,
  },
  "targets": [
    {
      "target_name": "torch",
      "sources": ["<!@(node -p \"require('fs').readdirSync('.').filter((name) => name.endsWith('.cc')).sort().join(' ')\")"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "_GLIBCXX_USE_CXX11_ABI=1"],
      "cflags!": ["-O3"],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
      "cflags": ["-O2"],
      "cflags_cc": [
        "-std=c++17",
        "-fopenmp",
        "-isystem<(libtorch_include)",
        "-isystem<(libtorch_include)/torch/csrc/api/include",
      ],
      "configurations": {"Release": {"cflags!": ["-O3"], "cflags_cc!": ["-O3"]}},
      "library_dirs": ["<(libtorch_lib)"],
      "libraries": ["-ltorch_cpu", "-lc10"],
      "conditions": [
        ["libtorch_openmp!=''", {"libraries": ["<(libtorch_openmp)"]}],
        ["OS=='linux'", {"ldflags": ["-Wl,-rpath,<(libtorch_lib)"]}],
        [
          "OS=='linux' and libtorch_cuda==1",
          {"libraries": ["-Wl,--no-as-needed", "-ltorch_cuda", "-lc10_cuda"]},
        ],
        [
          "OS=='mac'",
          {
            "xcode_settings": {
              "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
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
    }
  ],
}
