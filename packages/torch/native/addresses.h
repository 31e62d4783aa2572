// This machine's addresses, for process groups: the interface that they take, and what Gloo's errors call a process.
#pragma once

#include <string>
#include <vector>

namespace binding {

using Strings = std::vector<std::string>;

// The interface and the address from which this machine reaches a host. Throws where the host is unknown or out of reach.
Strings routeTo(const std::string& host, int64_t port);

// This process's ends of its connections, by which Gloo's errors name it elsewhere.
Strings socketAddresses();

}  // namespace binding
