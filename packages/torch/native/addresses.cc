// The addresses of addresses.h, from the system's sockets and interfaces.
#include "addresses.h"

#include <arpa/inet.h>
#include <c10/util/Exception.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace binding {

// "[address]:port" as Gloo writes it, or the address alone.
static std::string numeric(const sockaddr* address, socklen_t length, bool withPort) {
  char host[NI_MAXHOST], port[NI_MAXSERV];
  if (getnameinfo(address, length, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0) return "";
  return withPort ? "[" + std::string(host) + "]:" + port : host;
}

static std::string interfaceWith(const std::string& address) {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return "";
  std::string found;
  for (ifaddrs* one = all; one && found.empty(); one = one->ifa_next) {
    if (!one->ifa_addr) continue;
    const int family = one->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    if (numeric(one->ifa_addr, family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6), false) == address) found = one->ifa_name;
  }
  freeifaddrs(all);
  return found;
}

// By a UDP socket, which sends nothing to connect.
Strings routeTo(const std::string& host, int64_t port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_DGRAM;
  const int status = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  TORCH_CHECK(status == 0, "expected a host's name or address, got ", host, " (", gai_strerror(status), ")");
  Strings route;
  for (addrinfo* one = found; one && route.empty(); one = one->ai_next) {
    const int socket = ::socket(one->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket < 0) continue;
    sockaddr_storage own{};
    socklen_t length = sizeof own;
    auto* address = reinterpret_cast<sockaddr*>(&own);
    if (connect(socket, one->ai_addr, one->ai_addrlen) == 0 && getsockname(socket, address, &length) == 0) {
      const std::string text = numeric(address, length, false);
      route = {interfaceWith(text), text};
    }
    close(socket);
  }
  freeaddrinfo(found);
  TORCH_CHECK(!route.empty(), "expected a network that reaches ", host, ", got none");
  return route;
}

Strings socketAddresses() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  Strings addresses;
  const int end = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1 << 16));
  for (int file = 0; file < end; file++) {
    sockaddr_storage own{};
    socklen_t length = sizeof own;
    auto* address = reinterpret_cast<sockaddr*>(&own);
    if (getsockname(file, address, &length) != 0 || (own.ss_family != AF_INET && own.ss_family != AF_INET6)) continue;
    addresses.push_back(numeric(address, length, true));
  }
  return addresses;
}

}  // namespace binding
