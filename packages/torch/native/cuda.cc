// CUDA's half of libtorch, loaded when a GPU is first asked for and never linked, so that one addon serves machines with and
// without: the driver is asked first, then libtorch_cuda.so is opened from the folder of the libtorch_cpu that runs, for all
// to see. Each thing that lacks is a sentence of its own, and nothing goes on on the CPU in its place.
#include "cuda.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <unistd.h>

#include <mutex>
#include <sstream>

#include "convert.h"

namespace binding {

static const char* const kFetch = "Run `npx neobert setup-torch --cuda`, which fetches it, or `pip install --force-reinstall torch` where libtorch is a Python's.";

// "12.8" of 12080.
static std::string cudaVersion(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

static std::string lastError() {
  const char* text = dlerror();
  return text ? text : "no reason given";
}

// The folder of the libtorch_cpu that this process has loaded.
static std::string libtorchFolder() {
  Dl_info info;
  TORCH_CHECK(dladdr(reinterpret_cast<void*>(&at::get_num_threads), &info) && info.dli_fname, "internal: no path of libtorch_cpu");
  const std::string path = info.dli_fname;
  return path.substr(0, path.rfind('/'));
}

struct Driver {
  int version = 0, devices = 0;
};

template <class F>
static F functionOf(void* library, const char* name) {
  auto function = reinterpret_cast<F>(dlsym(library, name));
  TORCH_CHECK(function, "expected an NVIDIA driver for cuda, got a libcuda.so.1 without ", name, "\nInstall the driver anew.");
  return function;
}

static Driver askDriver() {
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
  if (!library) {
    const std::string error = lastError();
    TORCH_CHECK(error.find("No such file") == std::string::npos,
                "expected an NVIDIA driver for cuda, got none: there is no libcuda.so.1\n"
                "Install the driver, so that `nvidia-smi` answers (a container is started with --gpus all), or compute on the cpu.");
    TORCH_CHECK(false, "expected an NVIDIA driver for cuda, got one that does not load: ", error, "\nInstall the driver anew.");
  }
  Driver driver;
  functionOf<int (*)(int*)>(library, "cuDriverGetVersion")(&driver.version);
  const int code = functionOf<int (*)(unsigned)>(library, "cuInit")(0);
  if (code == 0) functionOf<int (*)(int*)>(library, "cuDeviceGetCount")(&driver.devices);
  if (code == 100 || (code == 0 && driver.devices == 0)) {
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    TORCH_CHECK(false, "expected a GPU for cuda, got none from the driver", visible ? " with CUDA_VISIBLE_DEVICES=" : "",
                visible ? visible : "", "\nSee what `nvidia-smi -L` lists, and which of it CUDA_VISIBLE_DEVICES and the container leave.");
  }
  TORCH_CHECK(code == 0, "expected an NVIDIA driver that starts, got error ", code, " of cuInit from the driver for CUDA ",
              cudaVersion(driver.version),
              "\nSee whether `nvidia-smi` answers: a driver that was updated needs the machine to be restarted.");
  return driver;
}

static void* openLibrary(const std::string& folder) {
  const std::string path = folder + "/libtorch_cuda.so";
  TORCH_CHECK(access(path.c_str(), F_OK) == 0, "expected libtorch_cuda.so beside libtorch for cuda, got none in ", folder, "\n", kFetch);
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library) return library;
  const std::string error = lastError();
  const size_t end = error.find(": cannot open shared object file");
  TORCH_CHECK(end == std::string::npos, "expected ", error.substr(0, end), ", which libtorch_cuda.so loads, got no such library\n", kFetch);
  TORCH_CHECK(false, "expected a libtorch_cuda.so that loads, got: ", error, "\n", kFetch);
}

static std::mutex loading;
static int devices = -1;  // until CUDA is loaded

static void loadCuda(const std::string& folder) {
  const Driver driver = askDriver();
  void* library = openLibrary(folder);
  int made = 0;
  if (auto version = reinterpret_cast<int (*)(int*)>(dlsym(library, "cudaRuntimeGetVersion"))) version(&made);
  TORCH_CHECK(driver.version / 1000 >= made / 1000, "expected a driver for CUDA ", made / 1000, " or later, as this libtorch is made with CUDA ",
              cudaVersion(made), ", got one for CUDA ", cudaVersion(driver.version),
              "\nUpdate the driver, or set LIBTORCH to the torch of a Python that was made with CUDA ", driver.version / 1000, ".");
  auto countDevices = reinterpret_cast<int (*)(int*)>(dlsym(library, "cudaGetDeviceCount"));
  auto errorString = reinterpret_cast<const char* (*)(int)>(dlsym(library, "cudaGetErrorString"));
  int count = 0, code = countDevices ? countDevices(&count) : 0;
  TORCH_CHECK(code == 0, "expected CUDA to start, got error ", code, errorString ? std::string(": ") + errorString(code) : "",
              "\nSee whether `nvidia-smi` answers, and whether a process that holds the GPU alone (compute mode) or its memory is in the way.");
  TORCH_CHECK(at::hasCUDA(), "expected a libtorch that finds CUDA, got one that looked for it before libtorch_cuda.so was loaded\n",
              "Ask for the GPU before other tensors compute gradients, or see whether ", folder, " holds libraries of one version.");
  devices = at::accelerator::deviceCount();
}

static void useCudaFrom(const at::Device& device, const std::string& folder) {
  const std::lock_guard<std::mutex> lock(loading);
  if (devices < 0) loadCuda(folder);
  TORCH_CHECK(device.index() < devices, "expected a GPU of cuda:0 to cuda:", devices - 1, ", got ", device);
}

void useCuda(const at::Device& device) { useCudaFrom(device, libtorchFolder()); }

void loadCudaWhereItIs() {
  static std::once_flag once;
  std::call_once(once, [] {
    const char* wanted = std::getenv("NEOBERT_CUDA");
    if (wanted && std::string(wanted) == "0") return;
    try {
      useCuda(at::Device(at::kCUDA));
    } catch (const c10::Error&) {
      // It is asked for, if at all, by name; then the reason is told.
    }
  });
}

static at::Device gpu(const at::Device& device) {
  TORCH_CHECK(device.is_cuda(), "expected a GPU, got ", device);
  return device.has_index() ? device : at::Device(at::kCUDA, at::accelerator::getDeviceIndex());
}

static Shape memoryOf(const at::Device& device) {
  const auto stats = at::accelerator::getDeviceStats(gpu(device).index());
  const auto &used = stats.allocated_bytes[0], &held = stats.reserved_bytes[0];
  return {used.current, used.peak, held.current - used.current};
}

static std::string mebibytes(int64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

static std::string outOfMemoryText(const std::string& message, const Shape& memory) {
  std::ostringstream text;
  text << message.substr(0, std::min(message.find(" Of the allocated memory"), message.find('\n')));
  if (!memory.empty())
    text << " This process has " << mebibytes(memory[0]) << " in use, had at most " << mebibytes(memory[1]) << ", and keeps "
         << mebibytes(memory[2]) << " more for its next tensors.";
  text << "\nCompute fewer tokens at a time (microBatchTokens of a run, batchTokens of an encoder), set activationCheckpointing: true or "
          "dtype: bf16; `nvidia-smi` shows what other processes hold of this GPU.";
  return text.str();
}

std::string outOfMemoryText(const std::string& message) {
  if (message.rfind("CUDA out of memory", 0) != 0) return message;
  try {
    return outOfMemoryText(message, memoryOf(at::Device(at::kCUDA)));
  } catch (const c10::Error&) {
    return outOfMemoryText(message, {});
  }
}

void defineCuda(Napi::Object& exports) {
  define(exports, "cudaIsAvailable", []() {
    try {
      useCuda(at::Device(at::kCUDA));
      return true;
    } catch (const c10::Error&) {
      return false;
    }
  });
  // `folder` is another libtorch's than the one that runs, in tests.
  defineAs("device", exports, "useCuda", [](std::string device, std::optional<std::string> folder) {
    useCudaFrom(at::Device(device), folder ? *folder : libtorchFolder());
  });
  define(exports, "cudaDeviceCount", []() { return static_cast<int64_t>(std::max(0, devices)); });
  define(exports, "deviceMemoryStats", memoryOf);
  define(exports, "emptyDeviceCache", [](at::Device device) {
    gpu(device);
    at::accelerator::emptyCache();
  });
  define(exports, "synchronize", [](at::Device device) { at::accelerator::synchronizeDevice(gpu(device).index()); });
  define(exports, "outOfMemoryText", [](std::string message, Shape memory) {
    if (memory.size() != 0 && memory.size() != 3) throw std::invalid_argument("expected three numbers of bytes or none");
    return outOfMemoryText(message, memory);
  });
}

}  // namespace binding
