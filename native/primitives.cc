#include "primitives.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <memory>

#include "arguments.h"
#include "openssl_objects.h"

namespace quicgate {

namespace {

constexpr size_t kX25519Length = 32;
constexpr size_t kHashLength = 32;
constexpr size_t kHashBlock = 64;
constexpr size_t kMaxExpansion = 255 * kHashLength;
constexpr size_t kMaxParts = 16;
constexpr size_t kBoxKeyLength = 16;
constexpr size_t kBoxNonceLength = 12;
constexpr size_t kBoxTagLength = 12;

/// Bytes that are wiped when they are left.
template <size_t kLength>
struct Secret {
  uint8_t bytes[kLength] = {};
  Secret() = default;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { OPENSSL_cleanse(bytes, kLength); }
};

/// Whether `out` has exactly `length` bytes.
bool ReadOutput(napi_env env, napi_value value, size_t length, Bytes* out) {
  if (!ReadBytes(env, value, "out", out)) return false;
  return out->length == length || ThrowRange(env, "the output has the wrong length");
}

/// new T(key), where a key has `kLength` bytes.
template <typename T, size_t kLength>
napi_value NewWithKey(napi_env env, napi_callback_info info) {
  Call call;
  Bytes key;
  if (!call.ReadNew(env, info) || !ReadBytes(env, call.argument[0], "key", &key)) return nullptr;
  if (key.length != kLength) {
    ThrowRange(env, "a key has the wrong length");
    return nullptr;
  }
  auto object = std::make_unique<T>();
  if (!object->Init(key.data)) {
    ThrowOpenssl(env);
    return nullptr;
  }
  return Adopt(env, call, std::move(object));
}

/// One private key. OpenSSL wipes it when it frees it.
class X25519Key {
 public:
  bool Init(const uint8_t* private_key) {
    key_.reset(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, private_key, kX25519Length));
    if (!key_) return false;
    context_.reset(EVP_PKEY_CTX_new(key_.get(), nullptr));
    return context_ && EVP_PKEY_derive_init(context_.get()) == 1;
  }

  bool PublicValue(uint8_t* out) const {
    size_t length = kX25519Length;
    return EVP_PKEY_get_raw_public_key(key_.get(), out, &length) == 1 && length == kX25519Length;
  }

  /// False for a point of small order, which OpenSSL refuses because the result would be zero.
  bool Derive(const uint8_t* peer_public, uint8_t* out) {
    const PublicKey peer(EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, peer_public, kX25519Length));
    size_t length = kX25519Length;
    return peer && EVP_PKEY_derive_set_peer(context_.get(), peer.get()) == 1 &&
           EVP_PKEY_derive(context_.get(), out, &length) == 1 && length == kX25519Length && !IsZero(out);
  }

 private:
  static bool IsZero(const uint8_t* bytes) {
    uint8_t bits = 0;
    for (size_t i = 0; i < kX25519Length; i++) bits |= bytes[i];
    return bits == 0;
  }

  PublicKey key_;
  PublicKeyContext context_;
};

/// publicValue(out)
napi_value PublicValue(napi_env env, napi_callback_info info) {
  Call call;
  Bytes out;
  if (!call.Read(env, info)) return nullptr;
  const X25519Key* key = Receiver<X25519Key>(env, call);
  if (key == nullptr || !ReadOutput(env, call.argument[0], kX25519Length, &out)) return nullptr;
  if (!key->PublicValue(out.data)) ThrowOpenssl(env);
  return nullptr;
}

/// derive(peerPublic, out): whether there is a secret
napi_value Derive(napi_env env, napi_callback_info info) {
  Call call;
  Bytes peer;
  Bytes out;
  if (!call.Read(env, info)) return nullptr;
  X25519Key* key = Receiver<X25519Key>(env, call);
  if (key == nullptr || !ReadBytes(env, call.argument[0], "peerPublic", &peer)) return nullptr;
  if (peer.length != kX25519Length) {
    ThrowRange(env, "a public value has 32 bytes");
    return nullptr;
  }
  if (!ReadOutput(env, call.argument[1], kX25519Length, &out)) return nullptr;
  const bool made = key->Derive(peer.data, out.data);
  if (!made) ERR_clear_error();
  napi_value result = nullptr;
  napi_get_boolean(env, made, &result);
  return result;
}

/// HMAC with SHA-256 (RFC 2104), one after the other under one key.
class Hmac {
 public:
  bool Init(const Bytes& key) {
    context_.reset(EVP_MD_CTX_new());
    if (!context_ || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1) return false;
    if (key.length <= kHashBlock) {
      if (key.length > 0) std::memcpy(key_.bytes, key.data, key.length);
      return true;
    }
    return Update(key.data, key.length) && EVP_DigestFinal_ex(context_.get(), key_.bytes, nullptr) == 1;
  }

  bool Begin() { return BeginHash(0x36); }

  bool Update(const uint8_t* data, size_t length) {
    return length == 0 || EVP_DigestUpdate(context_.get(), data, length) == 1;
  }

  bool End(uint8_t out[kHashLength]) {
    Secret<kHashLength> inner;
    return EVP_DigestFinal_ex(context_.get(), inner.bytes, nullptr) == 1 && BeginHash(0x5c) &&
           Update(inner.bytes, kHashLength) && EVP_DigestFinal_ex(context_.get(), out, nullptr) == 1;
  }

 private:
  bool BeginHash(uint8_t pad) {
    Secret<kHashBlock> padded;
    for (size_t i = 0; i < kHashBlock; i++) padded.bytes[i] = key_.bytes[i] ^ pad;
    return EVP_DigestInit_ex(context_.get(), nullptr, nullptr) == 1 && Update(padded.bytes, kHashBlock);
  }

  Secret<kHashBlock> key_;
  DigestContext context_;
};

/// hkdfExtract(out, salt, keyMaterial)
napi_value HkdfExtract(napi_env env, napi_callback_info info) {
  Call call;
  Bytes out;
  Bytes salt;
  Bytes material;
  if (!call.Read(env, info) || !ReadOutput(env, call.argument[0], kHashLength, &out) ||
      !ReadBytes(env, call.argument[1], "salt", &salt) ||
      !ReadBytes(env, call.argument[2], "keyMaterial", &material)) {
    return nullptr;
  }
  // An empty salt stands for 32 zero bytes, which as a key of HMAC are the same.
  Hmac hmac;
  if (!hmac.Init(salt) || !hmac.Begin() || !hmac.Update(material.data, material.length) || !hmac.End(out.data)) {
    ThrowOpenssl(env);
  }
  return nullptr;
}

/// Reads an array of at most `kMaxParts` byte arrays. Getters of its elements may run, so it is read before other bytes.
bool ReadParts(napi_env env, napi_value value, Bytes parts[kMaxParts], size_t* count) {
  bool is_array = false;
  uint32_t length = 0;
  if (napi_is_array(env, value, &is_array) != napi_ok || !is_array ||
      napi_get_array_length(env, value, &length) != napi_ok) {
    napi_throw_type_error(env, nullptr, "info: expected an array of Uint8Array");
    return false;
  }
  if (length > kMaxParts) return ThrowRange(env, "info: too many parts");
  napi_value element[kMaxParts];
  for (uint32_t i = 0; i < length; i++) {
    if (napi_get_element(env, value, i, &element[i]) != napi_ok) return false;
  }
  for (uint32_t i = 0; i < length; i++) {
    if (!ReadBytes(env, element[i], "info", &parts[i])) return false;
  }
  *count = length;
  return true;
}

/// RFC 5869 section 2.3.
bool Expand(const Bytes& key, const Bytes* parts, size_t count, const Bytes& out) {
  Hmac hmac;
  if (!hmac.Init(key)) return false;
  Secret<kHashLength> block;
  uint8_t counter = 0;
  for (size_t at = 0; at < out.length; at += kHashLength) {
    counter++;
    if (!hmac.Begin() || !hmac.Update(block.bytes, at == 0 ? 0 : kHashLength)) return false;
    for (size_t i = 0; i < count; i++) {
      if (!hmac.Update(parts[i].data, parts[i].length)) return false;
    }
    if (!hmac.Update(&counter, 1) || !hmac.End(block.bytes)) return false;
    std::memcpy(out.data + at, block.bytes, std::min(kHashLength, out.length - at));
  }
  return true;
}

/// hkdfExpand(out, pseudorandomKey, info)
napi_value HkdfExpand(napi_env env, napi_callback_info info) {
  Call call;
  Bytes parts[kMaxParts];
  size_t count = 0;
  Bytes out;
  Bytes key;
  if (!call.Read(env, info) || !ReadParts(env, call.argument[2], parts, &count) ||
      !ReadBytes(env, call.argument[0], "out", &out) || !ReadBytes(env, call.argument[1], "pseudorandomKey", &key)) {
    return nullptr;
  }
  if (out.length > kMaxExpansion) {
    ThrowRange(env, "HKDF gives at most 8160 bytes");
    return nullptr;
  }
  if (!Expand(key, parts, count, out)) ThrowOpenssl(env);
  return nullptr;
}

/// AES-128-GCM under one key, nonces given: nonce(12) | ciphertext | tag(12).
class GcmBox {
 public:
  bool Init(const uint8_t* key) {
    sealing_.reset(EVP_CIPHER_CTX_new());
    opening_.reset(EVP_CIPHER_CTX_new());
    return sealing_ && opening_ &&
           EVP_CipherInit_ex(sealing_.get(), EVP_aes_128_gcm(), nullptr, key, nullptr, 1) == 1 &&
           EVP_CipherInit_ex(opening_.get(), EVP_aes_128_gcm(), nullptr, key, nullptr, 0) == 1;
  }

  /// `out` has 24 bytes more than `plaintext`.
  bool Seal(const uint8_t* nonce, const Bytes& plaintext, uint8_t* out) {
    uint8_t* text = out + kBoxNonceLength;
    const int length = static_cast<int>(plaintext.length);
    int written = 0;
    std::memmove(out, nonce, kBoxNonceLength);
    return EVP_CipherInit_ex(sealing_.get(), nullptr, nullptr, nullptr, out, -1) == 1 &&
           (length == 0 || EVP_EncryptUpdate(sealing_.get(), text, &written, plaintext.data, length) == 1) &&
           EVP_EncryptFinal_ex(sealing_.get(), text + written, &written) == 1 &&
           EVP_CIPHER_CTX_ctrl(sealing_.get(), EVP_CTRL_AEAD_GET_TAG, kBoxTagLength, text + length) == 1;
  }

  /// `out` has 24 bytes less than `box`. What then stands there may be used only if the answer is true.
  bool Open(const Bytes& box, const Bytes& out) {
    const int length = static_cast<int>(out.length);
    uint8_t tag[kBoxTagLength];
    // GCM has nothing left to write at the end, but wants to be told where.
    uint8_t rest[EVP_MAX_BLOCK_LENGTH];
    int written = 0;
    std::memcpy(tag, box.data + box.length - kBoxTagLength, kBoxTagLength);
    return EVP_CipherInit_ex(opening_.get(), nullptr, nullptr, nullptr, box.data, -1) == 1 &&
           EVP_CIPHER_CTX_ctrl(opening_.get(), EVP_CTRL_AEAD_SET_TAG, kBoxTagLength, tag) == 1 &&
           (length == 0 ||
            EVP_DecryptUpdate(opening_.get(), out.data, &written, box.data + kBoxNonceLength, length) == 1) &&
           EVP_DecryptFinal_ex(opening_.get(), rest, &written) == 1;
  }

 private:
  Context sealing_;
  Context opening_;
};

/// seal(nonce, plaintext, out)
napi_value SealBox(napi_env env, napi_callback_info info) {
  Call call;
  Bytes nonce;
  Bytes plaintext;
  Bytes out;
  if (!call.Read(env, info)) return nullptr;
  GcmBox* box = Receiver<GcmBox>(env, call);
  if (box == nullptr || !ReadBytes(env, call.argument[0], "nonce", &nonce) ||
      !ReadBytes(env, call.argument[1], "plaintext", &plaintext)) {
    return nullptr;
  }
  if (nonce.length != kBoxNonceLength || plaintext.length > INT_MAX) {
    ThrowRange(env, "a nonce has 12 bytes, a plaintext less than 2 GiB");
    return nullptr;
  }
  if (!ReadOutput(env, call.argument[2], kBoxNonceLength + plaintext.length + kBoxTagLength, &out)) return nullptr;
  if (!box->Seal(nonce.data, plaintext, out.data)) ThrowOpenssl(env);
  return nullptr;
}

/// open(box, out): whether it is of this key; what `out` holds then is the plaintext, else nothing
napi_value OpenBox(napi_env env, napi_callback_info info) {
  Call call;
  Bytes sealed;
  Bytes out;
  if (!call.Read(env, info)) return nullptr;
  GcmBox* box = Receiver<GcmBox>(env, call);
  if (box == nullptr || !ReadBytes(env, call.argument[0], "box", &sealed)) return nullptr;
  if (sealed.length < kBoxNonceLength + kBoxTagLength || sealed.length > INT_MAX) {
    ThrowRange(env, "a box has at least 24 bytes and less than 2 GiB");
    return nullptr;
  }
  if (!ReadOutput(env, call.argument[1], sealed.length - kBoxNonceLength - kBoxTagLength, &out)) return nullptr;
  const bool genuine = box->Open(sealed, out);
  if (!genuine) {
    ERR_clear_error();
    if (out.length > 0) OPENSSL_cleanse(out.data, out.length);
  }
  napi_value result = nullptr;
  napi_get_boolean(env, genuine, &result);
  return result;
}

}  // namespace

bool DefinePrimitives(napi_env env, napi_value exports) {
  const Method key_methods[] = {{"publicValue", PublicValue}, {"derive", Derive}};
  const Method box_methods[] = {{"seal", SealBox}, {"open", OpenBox}};
  return DefineClass(env, exports, "X25519Key", NewWithKey<X25519Key, kX25519Length>, key_methods, 2) &&
         DefineClass(env, exports, "GcmBox", NewWithKey<GcmBox, kBoxKeyLength>, box_methods, 2) &&
         DefineFunction(env, exports, "hkdfExtract", HkdfExtract) &&
         DefineFunction(env, exports, "hkdfExpand", HkdfExpand);
}

}  // namespace quicgate
