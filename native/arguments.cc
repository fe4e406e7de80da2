#include "arguments.h"

#include <cmath>
#include <cstdio>
#include <vector>

namespace quicgate {

namespace {

constexpr double kMaxSafeInteger = 9007199254740991.0;

bool ThrowNamed(napi_env env, const char* name, const char* expected) {
  char message[128];
  std::snprintf(message, sizeof message, "%s: expected %s", name, expected);
  napi_throw_type_error(env, nullptr, message);
  return false;
}

template <typename T>
bool ReadTypedArray(napi_env env, napi_value value, const char* name, napi_typedarray_type wanted,
                    const char* expected, View<T>* out) {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok || type != wanted) {
    return ThrowNamed(env, name, expected);
  }
  out->data = static_cast<T*>(data);
  // A detached buffer has a length of its own kind of nothing.
  out->length = data == nullptr ? 0 : length;
  return true;
}

}  // namespace

bool Call::Read(napi_env env, napi_callback_info info) {
  size_t count = kMaxArguments;
  return napi_get_cb_info(env, info, &count, argument, &receiver, nullptr) == napi_ok;
}

bool Call::ReadNew(napi_env env, napi_callback_info info) {
  napi_value target = nullptr;
  if (!Read(env, info) || napi_get_new_target(env, info, &target) != napi_ok) return false;
  if (target != nullptr) return true;
  napi_throw_type_error(env, nullptr, "to be called with new");
  return false;
}

bool ReadBytes(napi_env env, napi_value value, const char* name, Bytes* out) {
  return ReadTypedArray(env, value, name, napi_uint8_array, "a Uint8Array", out);
}

bool ReadInts(napi_env env, napi_value value, const char* name, Ints* out) {
  return ReadTypedArray(env, value, name, napi_int32_array, "an Int32Array", out);
}

bool ReadDoubles(napi_env env, napi_value value, const char* name, Doubles* out) {
  return ReadTypedArray(env, value, name, napi_float64_array, "a Float64Array", out);
}

bool ReadNumber(napi_env env, napi_value value, const char* name, double max, double* out) {
  double number = 0;
  if (napi_get_value_double(env, value, &number) != napi_ok) return ThrowNamed(env, name, "a number");
  // Written so that NaN fails, too.
  if (!(number >= 0 && number <= max && number <= kMaxSafeInteger) || number != std::floor(number)) {
    char message[128];
    std::snprintf(message, sizeof message, "%s: expected a whole number from 0 to %.0f", name, max);
    return ThrowRange(env, message);
  }
  *out = number;
  return true;
}

bool ReadSize(napi_env env, napi_value value, const char* name, size_t max, size_t* out) {
  double number = 0;
  if (!ReadNumber(env, value, name, static_cast<double>(max), &number)) return false;
  *out = static_cast<size_t>(number);
  return true;
}

bool ReadText(napi_env env, napi_value value, const char* name, char* out, size_t capacity) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) return ThrowNamed(env, name, "a string");
  if (length >= capacity) return ThrowRange(env, "a text is too long");
  return napi_get_value_string_utf8(env, value, out, capacity, &length) == napi_ok;
}

bool ThrowRange(napi_env env, const char* message) {
  napi_throw_range_error(env, nullptr, message);
  return false;
}

napi_value MakeNumber(napi_env env, double value) {
  napi_value result = nullptr;
  napi_create_double(env, value, &result);
  return result;
}

bool DefineClass(napi_env env, napi_value exports, const char* name, napi_callback constructor, const Method* methods,
                 size_t count) {
  std::vector<napi_property_descriptor> properties(count);
  for (size_t i = 0; i < count; i++) {
    properties[i] = {methods[i].name, nullptr, methods[i].callback, nullptr, nullptr, nullptr, napi_default_method,
                     nullptr};
  }
  napi_value type = nullptr;
  return napi_define_class(env, name, NAPI_AUTO_LENGTH, constructor, nullptr, count, properties.data(), &type) ==
             napi_ok &&
         napi_set_named_property(env, exports, name, type) == napi_ok;
}

bool DefineFunction(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function = nullptr;
  return napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function) == napi_ok &&
         napi_set_named_property(env, exports, name, function) == napi_ok;
}

}  // namespace quicgate
