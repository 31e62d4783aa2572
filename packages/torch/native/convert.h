// Type-directed conversion: the type of a C++ function says how its JavaScript arguments are read and its result is
// given back, so that an op is bound in one line, `define(exports, "exp", &Tensor::exp)`. Exceptions become JavaScript
// errors `op: message`, thrown in the caller's stack and without libtorch's backtrace.
#pragma once
#include <c10/core/Device.h>
#include <c10/core/Scalar.h>
#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>

#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "cuda.h"
#include "handles.h"

namespace binding {

using at::Tensor;
using Shape = std::vector<int64_t>;
using Tensors = std::vector<Tensor>;

at::ScalarType dtypeFromName(const std::string& name);
at::Device deviceFromName(const std::string& name);
Tensor onDevice(const Tensor& tensor, const at::Device& device);
std::string dtypeName(at::ScalarType dtype);

// FromJs<T>::Held is what lives during the call; it converts to T.
template <class T>
struct FromJs;

template <class T>
struct FromJs<const T&> : FromJs<T> {};

// Of a tensor's elements: a view may have any number of them without memory for them, and one op on it take days.
constexpr int64_t kMostElements = int64_t{1} << 38;

// Tensors and generators of one call's result.
constexpr int64_t kMostParts = int64_t{1} << 22;

inline std::string cut(std::string text, size_t length) { return text.size() <= length ? text : text.substr(0, length) + " ..."; }

// An argument in a few words. NOTE: an object's toString is a caller's code, which may throw, as a symbol does.
inline std::string describe(Napi::Value value) {
  try {
    return cut(value.ToString().Utf8Value(), 200);
  } catch (const Napi::Error&) {
    return value.IsSymbol() ? "a symbol" : "an object";
  }
}

inline double numberFrom(Napi::Value value, const char* what) {
  if (!value.IsNumber()) throw std::invalid_argument(std::string("expected ") + what + ", got " + describe(value));
  return value.As<Napi::Number>().DoubleValue();
}

template <>
struct FromJs<double> {
  using Held = double;
  static Held get(Napi::Value value) { return numberFrom(value, "a number"); }
};

template <>
struct FromJs<int64_t> {
  using Held = int64_t;
  static Held get(Napi::Value value) {
    double number = numberFrom(value, "an integer");
    if (!(number >= -0x1p63 && number < 0x1p63 && number == std::floor(number)))
      throw std::invalid_argument("expected an integer, got " + describe(value));
    return static_cast<int64_t>(number);
  }
};

template <>
struct FromJs<bool> {
  using Held = bool;
  static Held get(Napi::Value value) { return value.ToBoolean().Value(); }
};

template <>
struct FromJs<std::string> {
  using Held = std::string;
  static Held get(Napi::Value value) { return describe(value); }
};

template <>
struct FromJs<Tensor> {
  using Held = Tensor;
  static Held get(Napi::Value value) {
    return Environment::of(value.Env()).tensors.get(numberFrom(value, "a tensor"));
  }
};

template <>
struct FromJs<at::Generator> {
  using Held = at::Generator;
  static Held get(Napi::Value value) {
    return Environment::of(value.Env()).generators.get(numberFrom(value, "a generator"));
  }
};

// A whole number is an integer scalar, so that int64 tensors stay int64 under `x.mul(2)`.
template <>
struct FromJs<at::Scalar> {
  using Held = at::Scalar;
  static Held get(Napi::Value value) {
    if (value.IsBoolean()) return at::Scalar(value.As<Napi::Boolean>().Value());
    double number = numberFrom(value, "a number");
    bool whole = number >= -9007199254740992.0 && number <= 9007199254740992.0 && number == std::floor(number);
    return whole ? at::Scalar(static_cast<int64_t>(number)) : at::Scalar(number);
  }
};

template <>
struct FromJs<at::ScalarType> {
  using Held = at::ScalarType;
  static Held get(Napi::Value value) { return dtypeFromName(describe(value)); }
};

template <>
struct FromJs<at::Device> {
  using Held = at::Device;
  static Held get(Napi::Value value) { return deviceFromName(describe(value)); }
};

template <class T>
struct FromJs<std::vector<T>> {
  using Held = std::vector<T>;
  static Held get(Napi::Value value) {
    uint32_t length;  // NOTE: a proxy of an array is one to IsArray, and has none
    if (napi_get_array_length(value.Env(), value, &length) != napi_ok)
      throw std::invalid_argument("expected an array, got " + describe(value));
    auto array = value.As<Napi::Array>();
    Held items;
    for (uint32_t i = 0; i < length; i++) items.push_back(FromJs<T>::get(array.Get(i)));
    return items;
  }
};

template <>
struct FromJs<at::IntArrayRef> : FromJs<Shape> {};

template <class T>
struct FromJs<std::optional<T>> {
  using Held = std::optional<T>;
  static Held get(Napi::Value value) {
    if (value.IsUndefined() || value.IsNull()) return std::nullopt;
    return FromJs<T>::get(value);
  }
};

template <>
struct FromJs<Napi::Value> {
  using Held = Napi::Value;
  static Held get(Napi::Value value) { return value; }
};

// Typed arrays arrive as they are; the op that takes one reads it itself.
template <>
struct FromJs<Napi::TypedArray> {
  using Held = Napi::TypedArray;
  static Held get(Napi::Value value) {
    if (!value.IsTypedArray()) throw std::invalid_argument("expected a typed array, got " + describe(value));
    return value.As<Napi::TypedArray>();
  }
};

inline Napi::Value toJs(Napi::Env env, Tensor tensor) {
  TORCH_CHECK(tensor.numel() <= kMostElements, "expected a tensor of at most 2^38 elements, got ", tensor.sizes());
  return Napi::Number::New(env, Environment::of(env).tensors.put(std::move(tensor)));
}
inline Napi::Value toJs(Napi::Env env, at::Generator generator) {
  return Napi::Number::New(env, Environment::of(env).generators.put(std::move(generator)));
}
inline Napi::Value toJs(Napi::Env env, double number) { return Napi::Number::New(env, number); }
inline Napi::Value toJs(Napi::Env env, int64_t number) { return Napi::Number::New(env, static_cast<double>(number)); }
inline Napi::Value toJs(Napi::Env env, bool flag) { return Napi::Boolean::New(env, flag); }
inline Napi::Value toJs(Napi::Env env, const std::string& text) { return Napi::String::New(env, text); }
inline Napi::Value toJs(Napi::Env, Napi::Value value) { return value; }
// An undefined tensor (no gradient yet) is `undefined`, not a handle.
inline Napi::Value toJs(Napi::Env env, const std::optional<Tensor>& tensor) {
  return tensor ? toJs(env, *tensor) : env.Undefined();
}
template <class T>
Napi::Value toJs(Napi::Env env, const std::vector<T>& items) {
  TORCH_CHECK(static_cast<int64_t>(items.size()) <= kMostParts, "expected at most 2^22 parts, got ", items.size());
  auto array = Napi::Array::New(env, items.size());
  for (size_t i = 0; i < items.size(); i++) array.Set(static_cast<uint32_t>(i), toJs(env, items[i]));
  return array;
}
inline Napi::Value toJs(Napi::Env env, const std::tuple<Tensor, Tensor>& pair) {
  return toJs(env, Tensors{std::get<0>(pair), std::get<1>(pair)});
}

// The result and argument types of a lambda, a function, or a method of Tensor.
template <class F>
struct Signature : Signature<decltype(&F::operator())> {};
template <class R, class... A>
struct Signature<R (*)(A...)> {
  template <class F>
  static Napi::Value run(F& f, const Napi::CallbackInfo& info) { return run(f, info, std::index_sequence_for<A...>{}); }
  template <class F, size_t... I>
  static Napi::Value run(F& f, const Napi::CallbackInfo& info, std::index_sequence<I...>) {
    // Braces: arguments are converted from left to right, so the first wrong one is the one reported.
    std::tuple<typename FromJs<A>::Held...> args{FromJs<A>::get(info[I])...};
    if constexpr (std::is_void_v<R>) {
      f(std::get<I>(args)...);
      return info.Env().Undefined();
    } else {
      return toJs(info.Env(), f(std::get<I>(args)...));
    }
  }
};
template <class C, class R, class... A>
struct Signature<R (C::*)(A...) const> : Signature<R (*)(A...)> {};

template <class F>
Napi::Value guarded(const char* name, F& f, const Napi::CallbackInfo& info) {
  try {
    return Signature<F>::run(f, info);
  } catch (const Napi::Error&) {
    throw;
  } catch (const c10::OutOfMemoryError& error) {
    throw Napi::Error::New(info.Env(), std::string(name) + ": " + cut(outOfMemoryText(error.what_without_backtrace()), 1500));
  } catch (const c10::Error& error) {
    throw Napi::Error::New(info.Env(), std::string(name) + ": " + cut(error.what_without_backtrace(), 1500));
  } catch (const std::invalid_argument& error) {
    throw Napi::TypeError::New(info.Env(), std::string(name) + ": " + cut(error.what(), 1500));
  } catch (const std::bad_alloc&) {
    throw Napi::Error::New(info.Env(), std::string(name) + ": expected arguments whose result fits in memory, got more");
  } catch (const std::exception& error) {
    throw Napi::Error::New(info.Env(), std::string(name) + ": " + cut(error.what(), 1500));
  }
}

// Binds a lambda or function under `name`; its errors say `where`. Both must be literals: they are kept.
template <class F>
void defineAs(const char* where, Napi::Object& exports, const char* name, F f) {
  exports.Set(name, Napi::Function::New(exports.Env(), [where, f](const Napi::CallbackInfo& info) mutable {
                return guarded(where, f, info);
              }, name));
}
template <class F>
void define(Napi::Object& exports, const char* name, F f) {
  defineAs(name, exports, name, f);
}

// Binds a method of Tensor: its receiver is the first argument.
template <class R, class... A>
void define(Napi::Object& exports, const char* name, R (Tensor::*method)(A...) const) {
  define(exports, name, [method](const Tensor& self, A... args) { return (self.*method)(args...); });
}

void defineMemory(Napi::Object& exports);
void defineElementwise(Napi::Object& exports);
void defineShape(Napi::Object& exports);
void defineNn(Napi::Object& exports);
void defineAutograd(Napi::Object& exports);
void defineRandom(Napi::Object& exports);
void defineOptim(Napi::Object& exports);
void defineAttention(Napi::Object& exports);
void defineAllocator(Napi::Object& exports);
void defineDispatch(Napi::Object& exports);
void defineNorm(Napi::Object& exports);
void defineGatedUnit(Napi::Object& exports);
void defineRotary(Napi::Object& exports);
void defineCrossEntropy(Napi::Object& exports);
void definePrepacked(Napi::Object& exports);
void defineDistributed(Napi::Object& exports);
void defineCuda(Napi::Object& exports);
void defineOpCounts(Napi::Object& exports);

}  // namespace binding
