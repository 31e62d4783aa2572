// The public surface of `neobert`: what works without libtorch. Training lives in `neobert/train`.

export {};
