#include "aead.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include <climits>
#include <cstring>
#include <memory>
#include <new>
#include <unordered_map>
#include <utility>
#include <vector>

#include "arguments.h"
#include "openssl_objects.h"

namespace quicgate {

namespace {

constexpr size_t kNonceLength = 12;
constexpr size_t kNumberOffset = 4;
constexpr size_t kSampleLength = 16;
constexpr size_t kMaskLength = 16;
constexpr size_t kSampleDistance = 4;
constexpr size_t kMaxTagLength = 16;
constexpr double kMaxPacketNumber = 9007199254740991.0;
/// Header start, payload start, payload end, packet number, packet number's place: what describes a packet to seal.
constexpr size_t kDescriptorLength = 5;
/// A key's id and how many packets it is to seal stand before their descriptors.
constexpr size_t kBatchHeadLength = 2;
/// Header start, payload start, packet end, packet number: what describes a packet to open.
constexpr size_t kOpenDescriptorLength = 4;
constexpr size_t kMaxBatch = 64;

enum Aead : size_t { kAes128Gcm = 0, kChaCha20Poly1305 = 1 };

constexpr size_t kMaxKeyLength = 32;

size_t KeyLength(size_t aead) { return aead == kAes128Gcm ? 16 : 32; }

/// Makes the masks of header protection with one key (RFC 9001 section 5.4).
class HeaderMask {
 public:
  HeaderMask(size_t aead, const uint8_t* key) : aes_(aead == kAes128Gcm) { std::memcpy(key_, key, KeyLength(aead)); }
  HeaderMask(const HeaderMask&) = delete;
  HeaderMask& operator=(const HeaderMask&) = delete;
  ~HeaderMask() { OPENSSL_cleanse(key_, sizeof key_); }

  /// The mask for the sample of 16 bytes at `sample`: 5 bytes are in use.
  bool Make(const uint8_t* sample, uint8_t mask[kMaskLength]) {
    if (!context_ && !MakeContext()) return false;
    int written = 0;
    if (aes_) return EVP_EncryptUpdate(context_.get(), mask, &written, sample, kSampleLength) == 1;
    static const uint8_t zeros[kMaskLength] = {};
    return EVP_EncryptInit_ex(context_.get(), nullptr, nullptr, nullptr, sample) == 1 &&
           EVP_EncryptUpdate(context_.get(), mask, &written, zeros, kMaskLength) == 1;
  }

  /// Frees the context: the next mask makes another one.
  void Release() { context_.reset(); }

 private:
  bool MakeContext() {
    Context made(EVP_CIPHER_CTX_new());
    const EVP_CIPHER* cipher = aes_ ? EVP_aes_128_ecb() : EVP_chacha20();
    if (!made || EVP_EncryptInit_ex(made.get(), cipher, nullptr, key_, nullptr) != 1 ||
        EVP_CIPHER_CTX_set_padding(made.get(), 0) != 1) {
      return false;
    }
    context_ = std::move(made);
    return true;
  }

  bool aes_;
  uint8_t key_[kMaxKeyLength] = {};
  Context context_;
};

/// Where a packet to open stands in its buffer: header, protected payload, tag.
struct SealedPacket {
  size_t header_start;
  size_t header_end;
  size_t end;
  uint64_t number;
};

/// The keys of this thread that seal, by their ids, which are never given out twice.
class SealingKeys {
 public:
  double Add(AeadKey* key) {
    keys_.emplace(++last_, key);
    return static_cast<double>(last_);
  }
  void Remove(double id) { keys_.erase(static_cast<uint64_t>(id)); }
  /// The key with this id, a number from 0 to 2^53 - 1; null if there is none.
  AeadKey* Find(double id) const {
    const auto found = keys_.find(static_cast<uint64_t>(id));
    return found == keys_.end() ? nullptr : found->second;
  }

 private:
  std::unordered_map<uint64_t, AeadKey*> keys_;
  uint64_t last_ = 0;
};

SealingKeys& Keys() {
  static thread_local SealingKeys keys;
  return keys;
}

}  // namespace

/// One key in one direction.
class AeadKey {
 public:
  AeadKey(size_t aead, bool seals, const Bytes& key, const Bytes& iv, size_t tag_length)
      : aead_(aead), seals_(seals), id_(seals ? Keys().Add(this) : 0), mixed_(iv.length == kNonceLength), tag_length_(tag_length) {
    std::memcpy(key_, key.data, key.length);
    std::memcpy(iv_, iv.data, iv.length);
  }
  AeadKey(const AeadKey&) = delete;
  AeadKey& operator=(const AeadKey&) = delete;
  ~AeadKey() {
    if (id_ > 0) Keys().Remove(id_);
    OPENSSL_cleanse(key_, sizeof key_);
  }

  void ProtectHeaders(const Bytes& key) { header_mask_ = std::make_unique<HeaderMask>(aead_, key.data); }

  /// Frees the contexts, which take some kilobytes: the next packet makes others. A connection at rest needs none.
  void Release() {
    context_.reset();
    if (header_mask_) header_mask_->Release();
  }

  bool seals() const { return seals_; }
  double id() const { return id_; }
  size_t tag_length() const { return tag_length_; }

  /// Whether all that sealing reads and writes lies in a buffer of `length` bytes. Notes what this depends on: sealing
  /// looks at nothing again that other packets, or other threads, may have overwritten meanwhile.
  bool Fits(const uint8_t* buffer, size_t length, Packet& p) const {
    p.number_length = 0;
    if (p.header_start > p.payload_start || p.payload_start > p.payload_end || p.payload_end > length) return false;
    if (length - p.payload_end < tag_length_) return false;
    if (!header_mask_) return true;
    if (p.number_offset <= p.header_start || p.number_offset >= p.payload_start) return false;
    p.number_length = (buffer[p.header_start] & 3) + 1u;
    if (p.number_length > p.payload_start - p.number_offset) return false;
    return SampleOffset(p) + kSampleLength <= p.payload_end + tag_length_;
  }

  bool Seal(uint8_t* buffer, const Packet& p) {
    uint8_t* payload = buffer + p.payload_start;
    const int payload_length = static_cast<int>(p.payload_end - p.payload_start);
    const int header_length = static_cast<int>(p.payload_start - p.header_start);
    int written = 0;
    if (!Begin(p.number) ||
        EVP_EncryptUpdate(context_.get(), nullptr, &written, buffer + p.header_start, header_length) != 1 ||
        EVP_EncryptUpdate(context_.get(), payload, &written, payload, payload_length) != 1 ||
        EVP_EncryptFinal_ex(context_.get(), payload + written, &written) != 1 ||
        EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_GET_TAG, static_cast<int>(tag_length_),
                            buffer + p.payload_end) != 1) {
      return false;
    }
    return !header_mask_ || ProtectHeader(buffer, p);
  }

  /// Decrypts `[payload, payload + length)`, whose tag stands behind it, to `out`. What then stands there may be used
  /// only if the answer is true.
  bool Open(const uint8_t* header, size_t header_length, uint8_t* payload, size_t length, uint64_t number,
            uint8_t* out) {
    uint8_t tag[kMaxTagLength];
    std::memcpy(tag, payload + length, tag_length_);
    int written = 0;
    return Begin(number) &&
           EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_SET_TAG, static_cast<int>(tag_length_), tag) == 1 &&
           EVP_DecryptUpdate(context_.get(), nullptr, &written, header, static_cast<int>(header_length)) == 1 &&
           EVP_DecryptUpdate(context_.get(), out, &written, payload, static_cast<int>(length)) == 1 &&
           EVP_DecryptFinal_ex(context_.get(), out + written, &written) == 1;
  }

 private:
  /// The nonce is an IV of 4 bytes, then the packet number as 8 little-endian bytes; or an IV of 12 bytes, whose last 8
  /// are XORed with the big-endian packet number.
  bool Begin(uint64_t number) {
    if (!context_ && !MakeContext()) return false;
    uint8_t nonce[kNonceLength];
    std::memcpy(nonce, iv_, kNonceLength);
    for (size_t i = 0; i < 8; i++) {
      const uint8_t byte = static_cast<uint8_t>(number >> (8 * i));
      if (mixed_) {
        nonce[kNonceLength - 1 - i] ^= byte;
      } else {
        nonce[kNumberOffset + i] = byte;
      }
    }
    return EVP_CipherInit_ex(context_.get(), nullptr, nullptr, nullptr, nonce, -1) == 1;
  }

  bool MakeContext() {
    Context made(EVP_CIPHER_CTX_new());
    const EVP_CIPHER* cipher = aead_ == kAes128Gcm ? EVP_aes_128_gcm() : EVP_chacha20_poly1305();
    if (!made || EVP_CipherInit_ex(made.get(), cipher, nullptr, key_, nullptr, seals_ ? 1 : 0) != 1) return false;
    context_ = std::move(made);
    return true;
  }

  /// What stands between packet number and payload, the nonce of some packets, is neither masked nor sampled.
  static size_t SampleOffset(const Packet& p) { return p.payload_start - p.number_length + kSampleDistance; }

  bool ProtectHeader(uint8_t* buffer, const Packet& p) {
    uint8_t& first = buffer[p.header_start];
    uint8_t mask[kMaskLength];
    if (!header_mask_->Make(buffer + SampleOffset(p), mask)) return false;
    first ^= mask[0] & ((first & 0x80) != 0 ? 0x0f : 0x1f);
    for (size_t i = 0; i < p.number_length; i++) buffer[p.number_offset + i] ^= mask[1 + i];
    return true;
  }

  size_t aead_;
  bool seals_;
  /// 0 where it does not seal.
  double id_;
  bool mixed_;
  size_t tag_length_;
  uint8_t key_[kMaxKeyLength] = {};
  uint8_t iv_[kNonceLength] = {};
  Context context_;
  std::unique_ptr<HeaderMask> header_mask_;
};

namespace {

bool ReadKey(napi_env env, napi_value value, const char* name, size_t aead, Bytes* out) {
  if (!ReadBytes(env, value, name, out)) return false;
  return out->length == KeyLength(aead) || ThrowRange(env, "a key has the wrong length");
}

/// new AeadKey(aead, seals, key, iv, tagLength, headerKey | undefined)
napi_value NewAeadKey(napi_env env, napi_callback_info info) {
  Call call;
  size_t aead = 0;
  size_t seals = 0;
  size_t tag_length = 0;
  Bytes key;
  Bytes iv;
  Bytes header_key;
  if (!call.ReadNew(env, info) || !ReadSize(env, call.argument[0], "aead", 1, &aead) ||
      !ReadSize(env, call.argument[1], "seals", 1, &seals) || !ReadKey(env, call.argument[2], "key", aead, &key) ||
      !ReadBytes(env, call.argument[3], "iv", &iv) ||
      !ReadSize(env, call.argument[4], "tagLength", kMaxTagLength, &tag_length)) {
    return nullptr;
  }
  if (iv.length != kNumberOffset && iv.length != kNonceLength) {
    ThrowRange(env, "an IV has 4 or 12 bytes");
    return nullptr;
  }
  if (tag_length != 12 && tag_length != kMaxTagLength) {
    ThrowRange(env, "a tag has 12 or 16 bytes");
    return nullptr;
  }
  napi_valuetype type = napi_undefined;
  napi_typeof(env, call.argument[5], &type);
  const bool protects = type != napi_undefined;
  if (protects && !ReadKey(env, call.argument[5], "headerKey", aead, &header_key)) return nullptr;
  auto object = std::make_unique<AeadKey>(aead, seals == 1, key, iv, tag_length);
  if (protects) object->ProtectHeaders(header_key);
  return Adopt(env, call, std::move(object));
}

/// id(): the number by which UdpSocket.send knows it; 0 for one that opens
napi_value Id(napi_env env, napi_callback_info info) {
  Call call;
  if (!call.Read(env, info)) return nullptr;
  const AeadKey* key = Receiver<AeadKey>(env, call);
  return key == nullptr ? nullptr : MakeNumber(env, key->id());
}

/// release(): frees what only packets need, until the next one comes
template <typename T>
napi_value Release(napi_env env, napi_callback_info info) {
  Call call;
  if (!call.Read(env, info)) return nullptr;
  T* object = Receiver<T>(env, call);
  if (object != nullptr) object->Release();
  return nullptr;
}

/// Copies a descriptor and checks that its words can be places and numbers.
template <size_t N>
bool ReadDescriptor(napi_env env, const double* shown, double (&value)[N]) {
  std::memcpy(value, shown, sizeof value);
  for (double one : value) {
    // Written so that NaN fails, too.
    if (!(one >= 0 && one <= kMaxPacketNumber)) return ThrowRange(env, "a packet has an impossible place or number");
  }
  return true;
}

/// Reads `count` descriptors and checks every one of them before the first byte is changed.
bool ReadPackets(napi_env env, const AeadKey& key, const Bytes& buffer, const double* descriptors, size_t count,
                 Packet* out) {
  for (size_t i = 0; i < count; i++) {
    double value[kDescriptorLength];
    if (!ReadDescriptor(env, descriptors + i * kDescriptorLength, value)) return false;
    out[i] = {static_cast<size_t>(value[0]), static_cast<size_t>(value[1]), static_cast<size_t>(value[2]),
              static_cast<uint64_t>(value[3]), static_cast<size_t>(value[4]), 0};
    if (!key.Fits(buffer.data, buffer.length, out[i])) return ThrowRange(env, "a packet does not fit its buffer");
  }
  return true;
}

/// seal(buffer, descriptors, count)
napi_value Seal(napi_env env, napi_callback_info info) {
  Call call;
  Bytes buffer;
  Doubles descriptors;
  size_t count = 0;
  if (!call.Read(env, info)) return nullptr;
  AeadKey* key = Receiver<AeadKey>(env, call);
  if (key == nullptr || !ReadBytes(env, call.argument[0], "buffer", &buffer) ||
      !ReadDoubles(env, call.argument[1], "descriptors", &descriptors) ||
      !ReadSize(env, call.argument[2], "count", kMaxBatch, &count)) {
    return nullptr;
  }
  if (!key->seals() || buffer.length > INT_MAX || count > descriptors.length / kDescriptorLength) {
    ThrowRange(env, "not to be sealed with this key, or not as many packets");
    return nullptr;
  }
  Packet packets[kMaxBatch];
  if (!ReadPackets(env, *key, buffer, descriptors.data, count, packets)) return nullptr;
  for (size_t i = 0; i < count; i++) {
    if (!key->Seal(buffer.data, packets[i])) {
      ThrowOpenssl(env);
      return nullptr;
    }
  }
  return nullptr;
}

/// Where packets are decrypted to before it is known whether they are genuine; one for each thread.
std::vector<uint8_t>& Scratch(size_t length) {
  static thread_local std::vector<uint8_t> scratch;
  if (scratch.size() < length) scratch.resize(length);
  return scratch;
}

/// The plaintext's length, or -1 for what is not genuine, of which no byte is changed then.
int OpenInPlace(AeadKey& key, uint8_t* buffer, const SealedPacket& p) {
  if (p.end - p.header_end < key.tag_length()) return -1;
  const size_t length = p.end - p.header_end - key.tag_length();
  uint8_t* payload = buffer + p.header_end;
  // One byte more, so that there is a place to point at even for no plaintext at all.
  std::vector<uint8_t>& scratch = Scratch(length + 1);
  if (!key.Open(buffer + p.header_start, p.header_end - p.header_start, payload, length, p.number, scratch.data())) {
    ERR_clear_error();
    return -1;
  }
  std::memcpy(payload, scratch.data(), length);
  return static_cast<int>(length);
}

/// open(buffer, headerStart, headerEnd, end, packetNumber): the plaintext's length, -1 for what is not genuine
napi_value Open(napi_env env, napi_callback_info info) {
  Call call;
  Bytes buffer;
  if (!call.Read(env, info)) return nullptr;
  AeadKey* key = Receiver<AeadKey>(env, call);
  if (key == nullptr || !ReadBytes(env, call.argument[0], "buffer", &buffer)) return nullptr;
  SealedPacket packet = {};
  double number = 0;
  if (!ReadSize(env, call.argument[3], "end", buffer.length, &packet.end) ||
      !ReadSize(env, call.argument[2], "headerEnd", packet.end, &packet.header_end) ||
      !ReadSize(env, call.argument[1], "headerStart", packet.header_end, &packet.header_start) ||
      !ReadNumber(env, call.argument[4], "packetNumber", kMaxPacketNumber, &number)) {
    return nullptr;
  }
  if (key->seals() || buffer.length > INT_MAX) {
    ThrowRange(env, "not to be opened with this key");
    return nullptr;
  }
  packet.number = static_cast<uint64_t>(number);
  return MakeNumber(env, OpenInPlace(*key, buffer.data, packet));
}

/// Reads `count` descriptors and checks every one of them before the first byte is changed.
bool ReadSealedPackets(napi_env env, size_t buffer_length, const Doubles& descriptors, size_t count,
                       SealedPacket* out) {
  for (size_t i = 0; i < count; i++) {
    double value[kOpenDescriptorLength];
    if (!ReadDescriptor(env, descriptors.data + i * kOpenDescriptorLength, value)) return false;
    SealedPacket& p = out[i];
    p = {static_cast<size_t>(value[0]), static_cast<size_t>(value[1]), static_cast<size_t>(value[2]),
         static_cast<uint64_t>(value[3])};
    if (p.header_start > p.header_end || p.header_end > p.end || p.end > buffer_length) {
      return ThrowRange(env, "a packet does not fit its buffer");
    }
  }
  return true;
}

/// openMany(buffer, descriptors, count, lengths): for each packet the plaintext's length, -1 for what is not genuine
napi_value OpenMany(napi_env env, napi_callback_info info) {
  Call call;
  Bytes buffer;
  Doubles descriptors;
  Ints lengths;
  size_t count = 0;
  if (!call.Read(env, info)) return nullptr;
  AeadKey* key = Receiver<AeadKey>(env, call);
  if (key == nullptr || !ReadBytes(env, call.argument[0], "buffer", &buffer) ||
      !ReadDoubles(env, call.argument[1], "descriptors", &descriptors) ||
      !ReadSize(env, call.argument[2], "count", kMaxBatch, &count) ||
      !ReadInts(env, call.argument[3], "lengths", &lengths)) {
    return nullptr;
  }
  if (key->seals() || buffer.length > INT_MAX || count > descriptors.length / kOpenDescriptorLength ||
      count > lengths.length) {
    ThrowRange(env, "not to be opened with this key, or not as many packets");
    return nullptr;
  }
  SealedPacket packets[kMaxBatch];
  if (!ReadSealedPackets(env, buffer.length, descriptors, count, packets)) return nullptr;
  for (size_t i = 0; i < count; i++) lengths.data[i] = OpenInPlace(*key, buffer.data, packets[i]);
  return nullptr;
}

/// new HeaderMask(aead, key)
napi_value NewHeaderMask(napi_env env, napi_callback_info info) {
  Call call;
  size_t aead = 0;
  Bytes key;
  if (!call.ReadNew(env, info) || !ReadSize(env, call.argument[0], "aead", 1, &aead) ||
      !ReadKey(env, call.argument[1], "key", aead, &key)) {
    return nullptr;
  }
  return Adopt(env, call, std::make_unique<HeaderMask>(aead, key.data));
}

/// make(buffer, sampleOffset, out): writes the mask to the first 16 bytes of `out`
napi_value MakeMask(napi_env env, napi_callback_info info) {
  Call call;
  Bytes buffer;
  Bytes out;
  size_t offset = 0;
  if (!call.Read(env, info)) return nullptr;
  HeaderMask* mask = Receiver<HeaderMask>(env, call);
  if (mask == nullptr || !ReadBytes(env, call.argument[0], "buffer", &buffer)) return nullptr;
  if (buffer.length < kSampleLength) {
    ThrowRange(env, "no sample fits the buffer");
    return nullptr;
  }
  if (!ReadSize(env, call.argument[1], "sampleOffset", buffer.length - kSampleLength, &offset) ||
      !ReadBytes(env, call.argument[2], "out", &out)) {
    return nullptr;
  }
  if (out.length < kMaskLength) {
    ThrowRange(env, "no mask fits the output");
    return nullptr;
  }
  uint8_t made[kMaskLength];
  if (!mask->Make(buffer.data + offset, made)) {
    ThrowOpenssl(env);
    return nullptr;
  }
  std::memcpy(out.data, made, kMaskLength);
  return nullptr;
}

/// makeMany(buffer, sampleOffsets, count, out): writes the masks, 16 bytes each, side by side to `out`
napi_value MakeMasks(napi_env env, napi_callback_info info) {
  Call call;
  Bytes buffer;
  Ints offsets;
  Bytes out;
  size_t count = 0;
  if (!call.Read(env, info)) return nullptr;
  HeaderMask* mask = Receiver<HeaderMask>(env, call);
  if (mask == nullptr || !ReadBytes(env, call.argument[0], "buffer", &buffer) ||
      !ReadInts(env, call.argument[1], "sampleOffsets", &offsets) ||
      !ReadSize(env, call.argument[2], "count", kMaxBatch, &count) || !ReadBytes(env, call.argument[3], "out", &out)) {
    return nullptr;
  }
  if (count > offsets.length || count > out.length / kMaskLength) {
    ThrowRange(env, "not as many masks");
    return nullptr;
  }
  // Kept apart until all are made: samples may lie where the masks go.
  uint8_t made[kMaxBatch * kMaskLength];
  for (size_t i = 0; i < count; i++) {
    const int32_t offset = offsets.data[i];
    if (offset < 0 || buffer.length < kSampleLength || static_cast<size_t>(offset) > buffer.length - kSampleLength) {
      ThrowRange(env, "a sample does not lie in the buffer");
      return nullptr;
    }
    if (!mask->Make(buffer.data + offset, made + i * kMaskLength)) {
      ThrowOpenssl(env);
      return nullptr;
    }
  }
  std::memcpy(out.data, made, count * kMaskLength);
  return nullptr;
}

}  // namespace

bool Sealings::Read(napi_env env, const Bytes& buffer, const Doubles& words, size_t batches) {
  if (buffer.length > INT_MAX) return ThrowRange(env, "too much to be sealed");
  size_t at = 0;
  for (size_t i = 0; i < batches; i++) {
    if (words.length - at < kBatchHeadLength) return ThrowRange(env, "not as many batches to be sealed");
    double head[kBatchHeadLength];
    std::memcpy(head, words.data + at, sizeof head);
    at += kBatchHeadLength;
    // Written so that NaN fails, too.
    if (!(head[0] >= 0 && head[0] <= kMaxPacketNumber)) return ThrowRange(env, "no key has such an id");
    if (!(head[1] >= 0 && head[1] <= static_cast<double>(kMaxPackets - packet_count_))) {
      return ThrowRange(env, "too many packets to be sealed");
    }
    Batch& batch = batches_[batch_count_++];
    batch.key = Keys().Find(head[0]);
    batch.count = static_cast<size_t>(head[1]);
    if (batch.key == nullptr) return ThrowRange(env, "no key has such an id");
    if (batch.count > (words.length - at) / kDescriptorLength) return ThrowRange(env, "not as many packets to be sealed");
    if (!ReadPackets(env, *batch.key, buffer, words.data + at, batch.count, packets_ + packet_count_)) return false;
    packet_count_ += batch.count;
    at += batch.count * kDescriptorLength;
  }
  return true;
}

bool Sealings::Run(uint8_t* buffer) const {
  const Packet* packet = packets_;
  for (size_t i = 0; i < batch_count_; i++) {
    for (size_t n = 0; n < batches_[i].count; n++) {
      if (!batches_[i].key->Seal(buffer, *packet++)) return false;
    }
  }
  return true;
}

bool DefineAead(napi_env env, napi_value exports) {
  const Method key_methods[] = {{"seal", Seal}, {"open", Open}, {"openMany", OpenMany}, {"id", Id},
                                {"release", Release<AeadKey>}};
  const Method mask_methods[] = {{"make", MakeMask}, {"makeMany", MakeMasks}, {"release", Release<HeaderMask>}};
  return DefineClass(env, exports, "AeadKey", NewAeadKey, key_methods, 5) &&
         DefineClass(env, exports, "HeaderMask", NewHeaderMask, mask_methods, 3);
}

}  // namespace quicgate
