// c10d: stores, process groups over Gloo (and NCCL where this was compiled with its headers), collectives. What blocks runs on
// threads of its own or of Gloo's, never on the event loop's; its end comes back as a promise. A collective works on dense
// copies where a tensor's layout is another, and writes back before it counts as completed.
// NOTE: a reduce-scatter over Gloo would be a whole all-reduce; here it is an all-to-all and a float32 sum in the order of
// ranks, with half of its traffic and the same bits each time.
#define USE_C10D_GLOO
#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <unistd.h>

#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <iostream>
#include <mutex>
#include <numeric>
#include <thread>

#include "addresses.h"
#include "convert.h"

namespace binding {

using Milliseconds = std::chrono::milliseconds;
using Future = c10::ivalue::Future;
using StorePtr = c10::intrusive_ptr<c10d::Store>;
using BackendPtr = c10::intrusive_ptr<c10d::Backend>;
using FuturePtr = c10::intrusive_ptr<Future>;

// What JavaScript holds of c10d: one of the three.
struct Shared {
  StorePtr store;
  BackendPtr group;
  FuturePtr work;
};

// NOTE: a group's destructor waits for its collectives, up to their time-out: it runs in `closeGroup` only. A group that was
// not closed lives as long as the process.
static void letGo(Napi::Env, Shared* shared) {
  shared->group.release();
  delete shared;
}

static Napi::Value give(Napi::Env env, Shared shared) {
  return Napi::External<Shared>::New(env, new Shared(std::move(shared)), letGo);
}

static Shared& sharedOf(Napi::Value value, const char* what) {
  if (!value.IsExternal()) throw std::invalid_argument(std::string("expected ") + what + ", got " + describe(value));
  return *value.As<Napi::External<Shared>>().Data();
}

static StorePtr storeOf(Napi::Value value) {
  Shared& shared = sharedOf(value, "a store");
  if (!shared.store) throw std::invalid_argument("expected a store, got another object of c10d");
  return shared.store;
}

static BackendPtr groupOf(Napi::Value value) {
  Shared& shared = sharedOf(value, "a process group");
  if (!shared.group) throw std::invalid_argument("expected a process group, got one that was closed");
  return shared.group;
}

static FuturePtr workOf(Napi::Value value) {
  Shared& shared = sharedOf(value, "a work");
  if (!shared.work) throw std::invalid_argument("expected a work, got another object of c10d");
  return shared.work;
}

static std::string textOf(Napi::Value value) {
  if (!value.IsString()) throw std::invalid_argument("expected a string, got " + describe(value));
  return value.As<Napi::String>().Utf8Value();
}

static std::string messageOf(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "internal: expected an exception, got something else thrown";
  }
}

// ---- What ends later

using Result = std::function<Napi::Value(Napi::Env)>;

static Napi::Value undefinedIn(Napi::Env env) { return env.Undefined(); }

// A promise that is settled on the JavaScript thread when `done` is, wherever that happens. It keeps the event loop alive.
// The way from another thread back to that of an environment, which may have ended before there is anything to say: a worker
// that is terminated does. NOTE: the other thread touches the function once, by its call; letting it release the function
// afterwards too was seen to abort, as by then the answer may have ended the environment.
class WayBack {
public:
  static std::shared_ptr<WayBack> open(Napi::Env env, const char* where) {
    std::shared_ptr<WayBack> way(new WayBack(env, where));
    napi_add_env_cleanup_hook(env, cutOff, way.get());
    way->self = way;
    return way;
  }

  // Calls `answer` on the environment's thread, if there still is one.
  void call(std::function<void(Napi::Env)> answer) {
    std::lock_guard<std::mutex> lock(mutex);
    if (!isOpen) return;
    function.NonBlockingCall([answer = std::move(answer), way = this](Napi::Env of, Napi::Function) {
      way->close(of);
      answer(of);
    });
  }

private:
  WayBack(Napi::Env env, const char* where)
      : function(Napi::ThreadSafeFunction::New(env, Napi::Function::New(env, [](const Napi::CallbackInfo&) {}), where, 0, 1)) {}

  void close(Napi::Env env) {
    std::shared_ptr<WayBack> kept = std::move(self);
    std::lock_guard<std::mutex> lock(mutex);
    isOpen = false;
    napi_remove_env_cleanup_hook(env, cutOff, this);
    function.Release();
  }

  static void cutOff(void* way) {
    std::shared_ptr<WayBack> kept = std::move(static_cast<WayBack*>(way)->self);
    std::lock_guard<std::mutex> lock(kept->mutex);
    kept->isOpen = false;
  }

  std::mutex mutex;
  bool isOpen = true;
  Napi::ThreadSafeFunction function;
  std::shared_ptr<WayBack> self; // until closed or cut off
};

static Napi::Value promiseOf(Napi::Env env, const char* where, const FuturePtr& done, Result result) {
  auto deferred = std::make_shared<Napi::Promise::Deferred>(env);
  Napi::Value promise = deferred->Promise();
  done->addCallback([way = WayBack::open(env, where), deferred, where, result = std::move(result)](Future& future) {
    const bool failed = future.hasError();
    std::string message = failed ? std::string(where) + ": " + cut(messageOf(future.exception_ptr()), 1500) : "";
    way->call([deferred, failed, message, result](Napi::Env of) {
      try {
        if (failed) deferred->Reject(Napi::Error::New(of, message).Value());
        else deferred->Resolve(result(of));
      } catch (const Napi::Error& error) {
        deferred->Reject(error.Value());
      }
    });
  });
  return promise;
}

// Runs what blocks on a thread of its own.
static Napi::Value inBackground(Napi::Env env, const char* where, std::function<void()> run, Result result = undefinedIn) {
  auto done = c10::make_intrusive<Future>(c10::NoneType::get());
  Napi::Value promise = promiseOf(env, where, done, std::move(result));
  std::thread([done, run = std::move(run)]() mutable {
    try {
      run();
      run = nullptr;
      done->markCompleted();
    } catch (...) {
      done->setError(std::current_exception());
    }
  }).detach();
  return promise;
}

// The work of a collective, completed when `finish` has run after it.
static Napi::Value workFrom(Napi::Env env, const c10::intrusive_ptr<c10d::Work>& work, std::function<void()> finish) {
  auto done = work->getFuture()->then(
      [finish = std::move(finish)](Future& future) {
        if (future.hasError()) std::rethrow_exception(future.exception_ptr());
        at::NoGradGuard guard;
        if (finish) finish();
        return c10::IValue();
      },
      c10::NoneType::get());
  return give(env, {.work = done});
}

static Napi::Value completedWork(Napi::Env env) {
  auto done = c10::make_intrusive<Future>(c10::NoneType::get());
  done->markCompleted();
  return give(env, {.work = done});
}

// ---- Groups

// Gloo writes lines to the console when a group is made, and has no switch for it.
class WithoutConsole {
 public:
  WithoutConsole() : lock_(mutex()), before_(std::cout.rdbuf(&nowhere_)) {}
  ~WithoutConsole() { std::cout.rdbuf(before_); }

 private:
  struct Nowhere : std::streambuf {
    int overflow(int letter) override { return letter; }
  };
  static std::mutex& mutex() {
    static std::mutex one;
    return one;
  }
  std::lock_guard<std::mutex> lock_;
  Nowhere nowhere_;
  std::streambuf* before_;
};

static BackendPtr glooGroup(const StorePtr& store, int rank, int size, Milliseconds timeout, const Strings& interfaces,
                            const std::string& address) {
  using c10d::ProcessGroupGloo;
  auto options = ProcessGroupGloo::Options::create(timeout);
  for (const std::string& name : interfaces) options->devices.push_back(ProcessGroupGloo::createDeviceForInterface(name));
  if (interfaces.empty()) options->devices.push_back(ProcessGroupGloo::createDeviceForHostname(address));
  options->threads = static_cast<int>(2 * options->devices.size());
  WithoutConsole quiet;
  return c10::make_intrusive<ProcessGroupGloo>(store, rank, size, options);
}

static Napi::Value processGroup(Napi::Value backend, Napi::Value from, int64_t rank, int64_t size, int64_t timeoutMs,
                                Strings interfaces, std::string address) {
  const std::string name = textOf(backend);
  const StorePtr store = storeOf(from);
  if (name != "gloo" && name != "nccl") throw std::invalid_argument("expected backend gloo or nccl, got " + name);
  if (!(size >= 1 && size <= 1 << 20 && rank >= 0 && rank < size))
    throw std::invalid_argument("expected a rank of 0 to size - 1, got rank " + std::to_string(rank) + " of " + std::to_string(size));
  auto made = std::make_shared<BackendPtr>();
  return inBackground(
      backend.Env(), "processGroup",
      [=] {
        const Milliseconds timeout(timeoutMs);
        const int own = static_cast<int>(rank), all = static_cast<int>(size);
        TORCH_CHECK(name == "gloo", "expected backend gloo, got nccl: this addon is made without NCCL\n"
                    "Of several processes each computes on a processor.");
        *made = glooGroup(store, own, all, timeout, interfaces, address);
      },
      [made](Napi::Env env) { return give(env, {.group = std::move(*made)}); });
}

// ---- Collectives

static Tensor flat(const Tensor& x) { return x.detach().contiguous().view(-1); }

// The stretch of memory in which the tensors lie one after another, or none.
static Tensor stretchOf(const Tensors& tensors) {
  Tensor first;
  int64_t end = 0, count = 0;
  for (const Tensor& x : tensors) {
    if (x.numel() == 0) continue;
    if (!x.is_contiguous() || (first.defined() && !(x.is_alias_of(first) && x.storage_offset() == end))) return {};
    if (!first.defined()) first = x;
    end = x.storage_offset() + x.numel();
    count += x.numel();
  }
  return first.defined() ? first.detach().as_strided({count}, {1}) : first;
}

// The tensors' values one after another, copied only where they do not lie so.
static Tensor flatOf(const Tensors& tensors) {
  if (Tensor whole = stretchOf(tensors); whole.defined()) return whole;
  Tensors parts;
  for (const Tensor& x : tensors) parts.push_back(flat(x));
  return at::cat(parts);
}

static Shape countsOf(const Tensors& tensors) {
  Shape counts;
  for (const Tensor& x : tensors) counts.push_back(x.numel());
  return counts;
}

// What a collective takes and gives: of one dtype and device.
static void check(const Tensors& tensors) {
  for (const Tensor& x : tensors) {
    TORCH_CHECK(x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16, "expected tensors of float32 or bfloat16, got ",
                dtypeName(x.scalar_type()));
    TORCH_CHECK(x.scalar_type() == tensors[0].scalar_type() && x.device() == tensors[0].device(),
                "expected tensors of one dtype and device, got ", dtypeName(tensors[0].scalar_type()), " on ", tensors[0].device(),
                " and ", dtypeName(x.scalar_type()), " on ", x.device());
    TORCH_CHECK(x.is_cpu(), "expected tensors on the CPU, got ", x.device());
  }
}

static void checkOneEach(const BackendPtr& group, const Tensors& tensors, const char* what) {
  TORCH_CHECK(static_cast<int64_t>(tensors.size()) == group->getSize(), "expected ", what, " for each of ", group->getSize(),
              " ranks, got ", tensors.size());
}

static void writeBack(const Tensors& outputs, const Tensor& buffer) {
  int64_t begin = 0;
  for (const Tensor& x : outputs) {
    if (x.numel() > 0) x.detach().copy_(buffer.narrow(0, begin, x.numel()).view(x.sizes()));
    begin += x.numel();
  }
}

static c10d::ReduceOp reduceOpFrom(const std::string& name) {
  if (name == "sum") return c10d::ReduceOp::SUM;
  if (name == "avg") return c10d::ReduceOp::AVG;
  if (name == "min") return c10d::ReduceOp::MIN;
  if (name == "max") return c10d::ReduceOp::MAX;
  throw std::invalid_argument("expected op sum, avg, min or max, got " + name);
}

static Napi::Value allReduce(Napi::Value on, Tensor x, std::string op) {
  const BackendPtr group = groupOf(on);
  const c10d::AllreduceOptions options{.reduceOp = reduceOpFrom(op)};
  check({x});
  if (x.numel() == 0) return completedWork(on.Env());
  Tensors dense{flat(x)};
  auto work = group->allreduce(dense, options);
  const bool inPlace = dense[0].is_alias_of(x);
  return workFrom(on.Env(), work, [=] { if (!inPlace) writeBack({x}, dense[0]); });
}

static Napi::Value broadcast(Napi::Value on, Tensor x, int64_t src) {
  const BackendPtr group = groupOf(on);
  TORCH_CHECK(src >= 0 && src < group->getSize(), "expected src of 0 to ", group->getSize() - 1, ", got ", src);
  check({x});
  if (x.numel() == 0) return completedWork(on.Env());
  Tensors dense{flat(x)};
  auto work = group->broadcast(dense, {.rootRank = src});
  const bool inPlace = dense[0].is_alias_of(x);
  return workFrom(on.Env(), work, [=] { if (!inPlace) writeBack({x}, dense[0]); });
}

// NOTE: Gloo gathers equal parts only: shorter ones travel with what is behind them, up to the longest.
static Napi::Value allGather(Napi::Value on, Tensors outputs, Tensor x) {
  const BackendPtr group = groupOf(on);
  checkOneEach(group, outputs, "an output");
  TORCH_CHECK(outputs[group->getRank()].sizes() == x.sizes(), "expected this rank's output of its input's shape ", x.sizes(), ", got ",
              outputs[group->getRank()].sizes());
  Tensors all = outputs;
  all.push_back(x);
  check(all);
  int64_t longest = 0;
  for (const Tensor& output : outputs) longest = std::max(longest, output.numel());
  if (longest == 0) return completedWork(on.Env());
  Tensor sent = flat(x);
  if (sent.numel() < longest) sent = at::cat({sent, at::zeros({longest - sent.numel()}, sent.options())});
  Tensor received;
  if (std::all_of(outputs.begin(), outputs.end(), [=](const Tensor& output) { return output.numel() == longest; }))
    received = stretchOf(outputs);
  const bool inPlace = received.defined();
  if (!inPlace) received = at::empty({longest * group->getSize()}, sent.options());
  auto work = group->_allgather_base(received, sent);
  if (inPlace) return workFrom(on.Env(), work, nullptr);
  return workFrom(on.Env(), work, [=] {
    for (size_t i = 0; i < outputs.size(); i++)
      writeBack({outputs[i]}, received.narrow(0, static_cast<int64_t>(i) * longest, outputs[i].numel()));
  });
}

static Napi::Value allToAll(Napi::Value on, Tensors outputs, Tensors inputs) {
  const BackendPtr group = groupOf(on);
  checkOneEach(group, outputs, "an output");
  checkOneEach(group, inputs, "an input");
  Tensors all = outputs;
  all.insert(all.end(), inputs.begin(), inputs.end());
  check(all);
  Tensor sent = flatOf(inputs);
  Shape sentCounts = countsOf(inputs), counts = countsOf(outputs);
  Tensor received = at::empty({std::accumulate(counts.begin(), counts.end(), int64_t{0})}, sent.options());
  auto work = group->alltoall_base(received, sent, counts, sentCounts);
  return workFrom(on.Env(), work, [=] { writeBack(outputs, received); });
}

static Napi::Value reduceScatter(Napi::Value on, Tensor output, Tensors inputs) {
  const BackendPtr group = groupOf(on);
  const int64_t size = group->getSize(), count = output.numel();
  checkOneEach(group, inputs, "an input");
  TORCH_CHECK(inputs[group->getRank()].sizes() == output.sizes(), "expected an output of the shape of this rank's input ",
              inputs[group->getRank()].sizes(), ", got ", output.sizes());
  check(inputs);
  check({output});
  TORCH_CHECK(output.scalar_type() == at::kFloat || output.scalar_type() == inputs[0].scalar_type(),
              "expected an output of float32 or the inputs' ", dtypeName(inputs[0].scalar_type()), ", got ", dtypeName(output.scalar_type()));
  Tensor sent = flatOf(inputs);
  Shape sentCounts = countsOf(inputs), counts(size, count);
  Tensor received = at::empty({size * count}, sent.options());
  auto work = group->alltoall_base(received, sent, counts, sentCounts);
  return workFrom(on.Env(), work, [=] {
    const bool inPlace = output.scalar_type() == at::kFloat && output.is_contiguous();
    Tensor sum = inPlace ? output.detach().view(-1) : at::empty({count}, received.options().dtype(at::kFloat));
    sum.copy_(received.narrow(0, 0, count));
    for (int64_t rank = 1; rank < size; rank++) sum.add_(received.narrow(0, rank * count, count));
    if (!inPlace) writeBack({output}, sum);
  });
}

static void defineStores(Napi::Object& exports) {
  // NOTE: not libtorch's server by libuv, since its uv_* functions would be those that Node exports, of another version.
  define(exports, "tcpStore", [](Napi::Value host, int64_t port, bool isServer, int64_t timeoutMs) {
    if (!(port >= 0 && port <= 65535)) throw std::invalid_argument("expected a port of 0 to 65535, got " + std::to_string(port));
    auto made = std::make_shared<StorePtr>();
    return inBackground(
        host.Env(), "TCPStore",
        [made, name = textOf(host), port, isServer, timeoutMs] {
          c10d::TCPStoreOptions options;
          options.port = static_cast<std::uint16_t>(port);
          options.isServer = isServer;
          options.waitWorkers = false;
          options.timeout = Milliseconds(timeoutMs);
          options.useLibUV = false;
          *made = c10::make_intrusive<c10d::TCPStore>(name, options);
        },
        [made](Napi::Env env) { return give(env, {.store = std::move(*made)}); });
  });
  define(exports, "fileStore", [](Napi::Value path, int64_t size) {
    return give(path.Env(), {.store = c10::make_intrusive<c10d::FileStore>(textOf(path), static_cast<int>(size))});
  });
  define(exports, "prefixStore", [](Napi::Value prefix, Napi::Value store) {
    return give(prefix.Env(), {.store = c10::make_intrusive<c10d::PrefixStore>(textOf(prefix), storeOf(store))});
  });
  define(exports, "storePort", [](Napi::Value value) {
    auto store = c10::dynamic_intrusive_pointer_cast<c10d::TCPStore>(storeOf(value));
    TORCH_CHECK(store, "expected a TCPStore, got another store");
    return static_cast<int64_t>(store->getPort());
  });
  define(exports, "setStoreTimeout", [](Napi::Value store, int64_t timeoutMs) { storeOf(store)->setTimeout(Milliseconds(timeoutMs)); });
  define(exports, "storeSet", [](Napi::Value on, Napi::Value key, Napi::Value value) {
    return inBackground(on.Env(), "set", [store = storeOf(on), name = textOf(key), text = textOf(value)] { store->set(name, text); });
  });
  define(exports, "storeGet", [](Napi::Value on, Napi::Value key) {
    auto text = std::make_shared<std::string>();
    return inBackground(on.Env(), "get", [text, store = storeOf(on), name = textOf(key)] { *text = store->get_to_str(name); },
                        [text](Napi::Env env) { return toJs(env, *text); });
  });
  define(exports, "storeAdd", [](Napi::Value on, Napi::Value key, int64_t amount) {
    auto sum = std::make_shared<int64_t>();
    return inBackground(on.Env(), "add", [=, store = storeOf(on), name = textOf(key)] { *sum = store->add(name, amount); },
                        [sum](Napi::Env env) { return toJs(env, *sum); });
  });
  define(exports, "storeCheck", [](Napi::Value on, Strings keys) {
    auto found = std::make_shared<bool>();
    return inBackground(on.Env(), "check", [=, store = storeOf(on)] { *found = store->check(keys); },
                        [found](Napi::Env env) { return toJs(env, *found); });
  });
  define(exports, "storeWait", [](Napi::Value on, Strings keys, int64_t timeoutMs) {
    return inBackground(on.Env(), "wait", [=, store = storeOf(on)] { store->wait(keys, Milliseconds(timeoutMs)); });
  });
  define(exports, "storeDeleteKey", [](Napi::Value on, Napi::Value key) {
    auto was = std::make_shared<bool>();
    return inBackground(on.Env(), "deleteKey", [was, store = storeOf(on), name = textOf(key)] { *was = store->deleteKey(name); },
                        [was](Napi::Env env) { return toJs(env, *was); });
  });
}

void defineDistributed(Napi::Object& exports) {
  defineStores(exports);
  define(exports, "routeTo", [](Napi::Value host, int64_t port) { return routeTo(textOf(host), port); });
  define(exports, "socketAddresses", socketAddresses);
  define(exports, "processGroup", processGroup);
  define(exports, "closeGroup", [](Napi::Value value) {
    groupOf(value);
    auto last = std::make_shared<BackendPtr>(std::move(sharedOf(value, "a process group").group));
    return inBackground(value.Env(), "closeGroup", [last] { last->reset(); });
  });
  define(exports, "allReduce", allReduce);
  define(exports, "broadcast", broadcast);
  define(exports, "allGather", allGather);
  define(exports, "allToAll", allToAll);
  define(exports, "reduceScatter", reduceScatter);
  define(exports, "barrier", [](Napi::Value on) { return workFrom(on.Env(), groupOf(on)->barrier(), nullptr); });
  define(exports, "monitoredBarrier", [](Napi::Value on, int64_t timeoutMs) {
    return inBackground(on.Env(), "monitoredBarrier", [group = groupOf(on), timeoutMs] {
      c10d::BarrierOptions options;
      options.timeout = Milliseconds(timeoutMs);
      group->monitoredBarrier(options, true);
    });
  });
  define(exports, "workIsCompleted", [](Napi::Value work) { return workOf(work)->completed(); });
  define(exports, "workWait", [](Napi::Value work) { return promiseOf(work.Env(), "wait", workOf(work), undefinedIn); });
}

}  // namespace binding
