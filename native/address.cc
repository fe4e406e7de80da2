#include "address.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "arguments.h"

namespace quicgate {

namespace {

/// The longest IPv6 address, "%", the longest interface name, NUL.
constexpr size_t kTextLength = INET6_ADDRSTRLEN + IF_NAMESIZE + 1;

bool ReadRecord(napi_env env, const Call& call, size_t array, size_t offset, int32_t** out) {
  Ints words;
  size_t at = 0;
  if (!ReadInts(env, call.argument[array], "record", &words)) return false;
  if (words.length < kAddressWords) return ThrowRange(env, "no address fits the record");
  if (!ReadSize(env, call.argument[offset], "offset", words.length - kAddressWords, &at)) return false;
  *out = words.data + at;
  return true;
}

bool Parse(char* text, uint16_t port, SocketAddress* out) {
  char* scope = std::strchr(text, '%');
  if (scope != nullptr) *scope++ = '\0';
  if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1) {
    out->any.sa_family = AF_INET;
    out->v4.sin_port = htons(port);
    return scope == nullptr;
  }
  if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) != 1) return false;
  out->any.sa_family = AF_INET6;
  out->v6.sin6_port = htons(port);
  out->v6.sin6_scope_id = 0;
  if (scope == nullptr) return true;
  out->v6.sin6_scope_id = if_nametoindex(scope);
  if (out->v6.sin6_scope_id == 0) out->v6.sin6_scope_id = static_cast<uint32_t>(std::strtoul(scope, nullptr, 10));
  return out->v6.sin6_scope_id != 0;
}

/// parseAddress(text, port, record, offset): whether it is a numeric address, with a scope perhaps
napi_value ParseAddress(napi_env env, napi_callback_info info) {
  Call call;
  char text[kTextLength];
  size_t port = 0;
  int32_t* record = nullptr;
  if (!call.Read(env, info) || !ReadText(env, call.argument[0], "text", text, sizeof text) ||
      !ReadSize(env, call.argument[1], "port", 65535, &port) || !ReadRecord(env, call, 2, 3, &record)) {
    return nullptr;
  }
  SocketAddress address;
  const bool good = Parse(text, static_cast<uint16_t>(port), &address);
  if (good) address.ToRecord(record);
  napi_value result = nullptr;
  napi_get_boolean(env, good, &result);
  return result;
}

/// formatAddress(record, offset): the address as text, without its port
napi_value FormatAddress(napi_env env, napi_callback_info info) {
  Call call;
  int32_t* record = nullptr;
  if (!call.Read(env, info) || !ReadRecord(env, call, 0, 1, &record)) return nullptr;
  SocketAddress address;
  if (!address.FromRecord(record)) {
    ThrowRange(env, "not the record of an address");
    return nullptr;
  }
  char text[kTextLength] = "";
  if (address.any.sa_family == AF_INET) {
    inet_ntop(AF_INET, &address.v4.sin_addr, text, sizeof text);
  } else {
    inet_ntop(AF_INET6, &address.v6.sin6_addr, text, sizeof text);
    const uint32_t scope = address.v6.sin6_scope_id;
    if (scope != 0 && IN6_IS_ADDR_LINKLOCAL(&address.v6.sin6_addr)) {
      char name[IF_NAMESIZE];
      if (if_indextoname(scope, name) == nullptr) std::snprintf(name, sizeof name, "%u", scope);
      const size_t used = std::strlen(text);
      std::snprintf(text + used, sizeof text - used, "%%%s", name);
    }
  }
  napi_value result = nullptr;
  napi_create_string_latin1(env, text, NAPI_AUTO_LENGTH, &result);
  return result;
}

}  // namespace

bool SocketAddress::FromRecord(const int32_t* record) {
  if (record[1] < 0 || record[1] > 65535) return false;
  const uint16_t port = htons(static_cast<uint16_t>(record[1]));
  if (record[0] == 4) {
    v4 = {};
    v4.sin_family = AF_INET;
    v4.sin_port = port;
    std::memcpy(&v4.sin_addr, record + 2, sizeof v4.sin_addr);
    length = sizeof v4;
    return true;
  }
  if (record[0] != 6) return false;
  v6 = {};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = port;
  std::memcpy(&v6.sin6_addr, record + 2, sizeof v6.sin6_addr);
  v6.sin6_scope_id = static_cast<uint32_t>(record[6]);
  length = sizeof v6;
  return true;
}

void SocketAddress::ToRecord(int32_t* record) const {
  std::memset(record, 0, kAddressWords * sizeof *record);
  if (any.sa_family == AF_INET) {
    record[0] = 4;
    record[1] = ntohs(v4.sin_port);
    std::memcpy(record + 2, &v4.sin_addr, sizeof v4.sin_addr);
  } else if (any.sa_family == AF_INET6) {
    record[0] = 6;
    record[1] = ntohs(v6.sin6_port);
    std::memcpy(record + 2, &v6.sin6_addr, sizeof v6.sin6_addr);
    record[6] = static_cast<int32_t>(v6.sin6_scope_id);
  }
}

bool DefineAddresses(napi_env env, napi_value exports) {
  return DefineFunction(env, exports, "parseAddress", ParseAddress) &&
         DefineFunction(env, exports, "formatAddress", FormatAddress);
}

}  // namespace quicgate
