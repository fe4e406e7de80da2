// AEADs and header protection by the OpenSSL that the node binary carries, with contexts kept for each key.
#ifndef QUICGATE_AEAD_H_
#define QUICGATE_AEAD_H_

#include <node_api.h>

#include <cstddef>
#include <cstdint>

#include "arguments.h"

namespace quicgate {

/// One key in one direction.
class AeadKey;

/// Where a packet to seal stands in its buffer.
struct Packet {
  size_t header_start;
  size_t payload_start;
  size_t payload_end;
  uint64_t number;
  size_t number_offset;
  /// Bytes, where header protection needs it.
  size_t number_length;
};

/// Packets of one buffer that are to be sealed, some with one key and some with others. Lives for one call: the keys
/// are JavaScript's, and so is the buffer.
class Sealings {
 public:
  static constexpr size_t kMaxBatches = 64;
  static constexpr size_t kMaxPackets = 1024;

  /// Takes over `batches` (at most kMaxBatches) batches: for each the key's id, how many packets it has, and their
  /// descriptors as AeadKey.seal has them. Copies and checks all of them and changes nothing. Answers false with a
  /// JavaScript exception pending.
  bool Read(napi_env env, const Bytes& buffer, const Doubles& words, size_t batches);
  /// Seals them in the buffer that they were checked against. False if OpenSSL failed.
  bool Run(uint8_t* buffer) const;

 private:
  struct Batch {
    AeadKey* key;
    size_t count;
  };
  Batch batches_[kMaxBatches];
  Packet packets_[kMaxPackets];
  size_t batch_count_ = 0;
  size_t packet_count_ = 0;
};

/// Adds the classes AeadKey and HeaderMask.
bool DefineAead(napi_env env, napi_value exports);

}  // namespace quicgate

#endif
