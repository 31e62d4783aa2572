// The addon's entry: one environment record a JavaScript thread, then every area binds its ops.
#include "convert.h"

namespace binding {

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Environment());
  defineAllocator(exports);
  defineDispatch(exports);
  defineMemory(exports);
  defineElementwise(exports);
  defineShape(exports);
  defineNn(exports);
  defineAutograd(exports);
  defineRandom(exports);
  defineOptim(exports);
  defineAttention(exports);
  defineNorm(exports);
  defineGatedUnit(exports);
  defineRotary(exports);
  defineCrossEntropy(exports);
  definePrepacked(exports);
  defineDistributed(exports);
  defineCuda(exports);
  defineOpCounts(exports);
  return exports;
}

NODE_API_MODULE(torch, initialize)

}  // namespace binding
