// libtorch's headers of Gloo name five more that its package lacks. What ours need of them is declared here: nothing is
// defined, and nothing of Gloo's is derived from or made by our code, so that only libtorch's own code uses its layouts.
// A test asserts that the addon holds no vtable of Gloo's.
#pragma once
