// What JavaScript hands over, checked. Every function answers false with a JavaScript exception pending.
#ifndef QUICGATE_ARGUMENTS_H_
#define QUICGATE_ARGUMENTS_H_

#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace quicgate {

/// Memory that JavaScript owns. Valid until JavaScript runs again, and no longer.
template <typename T>
struct View {
  T* data = nullptr;
  size_t length = 0;
};

using Bytes = View<uint8_t>;
using Ints = View<int32_t>;
using Doubles = View<double>;

/// The arguments and the receiver of one call. Missing arguments are undefined.
struct Call {
  static constexpr size_t kMaxArguments = 8;
  napi_value receiver = nullptr;
  napi_value argument[kMaxArguments] = {};

  bool Read(napi_env env, napi_callback_info info);
  /// Of a constructor, which has to be called with `new`.
  bool ReadNew(napi_env env, napi_callback_info info);
};

bool ReadBytes(napi_env env, napi_value value, const char* name, Bytes* out);
bool ReadInts(napi_env env, napi_value value, const char* name, Ints* out);
bool ReadDoubles(napi_env env, napi_value value, const char* name, Doubles* out);
/// A whole number from 0 to `max`, which is at most 2^53 - 1.
bool ReadNumber(napi_env env, napi_value value, const char* name, double max, double* out);
/// A whole number from 0 to `max`.
bool ReadSize(napi_env env, napi_value value, const char* name, size_t max, size_t* out);
/// A text of less than `capacity` bytes, with a NUL behind it.
bool ReadText(napi_env env, napi_value value, const char* name, char* out, size_t capacity);

/// Throws a RangeError. Always false.
bool ThrowRange(napi_env env, const char* message);
napi_value MakeNumber(napi_env env, double value);

/// The object behind the receiver. Methods of a class are called on its own instances only: V8 sees to that.
template <typename T>
T* Receiver(napi_env env, const Call& call) {
  void* object = nullptr;
  if (napi_unwrap(env, call.receiver, &object) != napi_ok || object == nullptr) {
    napi_throw_type_error(env, nullptr, "not an object of this class");
    return nullptr;
  }
  return static_cast<T*>(object);
}

template <typename T>
void Delete(napi_env, void* object, void*) {
  delete static_cast<T*>(object);
}

/// Gives `object` to the JavaScript object that is being constructed.
template <typename T>
napi_value Adopt(napi_env env, const Call& call, std::unique_ptr<T> object) {
  if (napi_wrap(env, call.receiver, object.get(), Delete<T>, nullptr, nullptr) != napi_ok) {
    napi_throw_type_error(env, nullptr, "the object is another's already");
    return nullptr;
  }
  object.release();
  return call.receiver;
}

struct Method {
  const char* name;
  napi_callback callback;
};

/// Defines a class with these methods as a property of `exports`.
bool DefineClass(napi_env env, napi_value exports, const char* name, napi_callback constructor, const Method* methods,
                 size_t count);
bool DefineFunction(napi_env env, napi_value exports, const char* name, napi_callback callback);

}  // namespace quicgate

#endif
