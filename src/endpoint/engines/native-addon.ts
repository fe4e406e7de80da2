/**
 * The addon of the native engine, as C++ (native/) offers it. It checks every argument and throws RangeError or
 * TypeError for what does not fit.
 */
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

/** Which AEAD, in the addon's words. */
export const NativeAead = { AESG: 0, CC20: 1 } as const

/** Words of the description of a packet to seal: header start, payload start and end, packet number, its place. */
export const DESCRIPTOR_WORDS = 5
/** Words before the descriptors of a batch that is sealed when it is sent: its key's id, how many packets it has. */
export const BATCH_WORDS = 2
/** Words of the description of a packet to open: header start and end, packet end, packet number. */
export const OPEN_DESCRIPTOR_WORDS = 4
/** Words of an address record: family (4 or 6), port, four words of address as they stand in memory, IPv6 scope. */
export const ADDRESS_WORDS = 7
/**
 * Words that describe what was received: length, size of the datagrams in it (0: it is one), cut off, for how many µs
 * the kernel had it, address.
 */
export const MESSAGE_WORDS = 4 + ADDRESS_WORDS
/** Words that describe a transmit: where the next byte stands, where they end, size to cut by, address, one to spare. */
export const TRANSMIT_WORDS = 3 + ADDRESS_WORDS + 1
/** The most transmits of one call. */
export const MAX_TRANSMITS = 64
/** The least size of a receive slot, bytes: what the kernel joins at most. */
export const MIN_SLOT = 65_536

/**
 * What `send` has come to: which transmit is next; an error number, the size of the datagram that met it and its
 * transmit; what the system turned out not to have.
 */
export const Outcome = { Next: 0, Error: 1, ErrorSize: 2, ErrorAt: 3, Lost: 4, Words: 5 } as const
/** Bits of what the system turned out not to have. */
export const Lost = { Segmentation: 1, ManyMessages: 2, Departures: 4 } as const
/** Bits of what `useOffloads` found. */
export const Offload = { Segmentation: 1, Joining: 2 } as const
/** Bits of what a socket is ready for. */
export const Ready = { Receive: 1, Send: 2 } as const

/** One key in one direction. */
export interface NativeAeadKey {
  /** Frees what only packets need, until the next one comes. */
  release(): void
  seal(buffer: Uint8Array, descriptors: Float64Array, count: number): void
  /** By which `send` knows it, as long as it lives; 0 for one that opens. No two keys of a thread ever have the same. */
  id(): number
  /** The plaintext's length, -1 for what is not genuine; the buffer is then unchanged. */
  open(buffer: Uint8Array, headerStart: number, headerEnd: number, end: number, packetNumber: number): number
  /** Writes to `lengths` what `open` answers, for each packet. */
  openMany(buffer: Uint8Array, descriptors: Float64Array, count: number, lengths: Int32Array): void
}

/** Masks of header protection with one key. */
export interface NativeHeaderMask {
  /** Frees what only masks need, until the next one is made. */
  release(): void
  /** Writes the mask to the first 16 bytes of `out`. */
  make(buffer: Uint8Array, sampleOffset: number, out: Uint8Array): void
  /** Writes `count` masks, 16 bytes each, side by side to `out`. */
  makeMany(buffer: Uint8Array, sampleOffsets: Int32Array, count: number, out: Uint8Array): void
}

/** A private key for X25519. */
export interface NativeX25519Key {
  /** Writes 32 bytes. */
  publicValue(out: Uint8Array): void
  /** Writes 32 bytes; whether there is a secret with this public value. */
  derive(peerPublic: Uint8Array, out: Uint8Array): boolean
}

/** AES-128-GCM: `nonce(12) | ciphertext | tag(12)`. */
export interface NativeGcmBox {
  /** `out` has 24 bytes more than `plaintext`. */
  seal(nonce: Uint8Array, plaintext: Uint8Array, out: Uint8Array): void
  /** `out` has 24 bytes less than `box`; whether that is of this key. */
  open(box: Uint8Array, out: Uint8Array): boolean
}

/** A UDP socket. Methods that answer with a number give 0 or the system's error number unless they say otherwise. */
export interface NativeUdpSocket {
  bind(address: Int32Array): number
  connect(address: Int32Array): number
  localAddress(address: Int32Array): number
  /** What was granted for receiving, bytes. */
  setBufferSizes(receive: number, send: number): number
  /** Bits of {@link Offload}. */
  useOffloads(segmentation: 0 | 1): number
  /** Has the kernel tell when it received what is received. */
  stampArrivals(): number
  /** The two ECN bits of what is sent. */
  markEcn(codepoint: number): number
  /** Has the kernel hold back what is not due yet (SO_TXTIME), where its queueing discipline can. */
  paceDepartures(): number
  sharePort(): number
  /** Instructions of four numbers each: code, jump if true, jump if false, operand. */
  chooseBy(program: Float64Array): number
  /** Modulo 2^32; -1 where the kernel does not tell. */
  kernelDrops(): number
  /** The number by which a child process can inherit it. */
  descriptor(): number
  start(onReady: (bits: number) => void): number
  watchWritable(wanted: 0 | 1): number
  /** How many messages, or the negative error number. */
  receive(pool: Uint8Array, slotSize: number, slots: number, messages: Int32Array): number
  /**
   * Seals `batches` batches in `bytes`, if there are any, and sends. For each batch `sealings` has {@link BATCH_WORDS}
   * and then its descriptors. When this throws, nothing has been sent.
   */
  send(
    bytes: Uint8Array,
    transmits: Int32Array,
    first: number,
    last: number,
    outcome: Int32Array,
    sealings?: Float64Array,
    batches?: number
  ): void
  close(): void
}

/** Everything. */
export interface NativeAddon {
  AeadKey: new (
    aead: number,
    seals: 0 | 1,
    key: Uint8Array,
    iv: Uint8Array,
    tagLength: number,
    headerKey: Uint8Array | undefined
  ) => NativeAeadKey
  HeaderMask: new (aead: number, key: Uint8Array) => NativeHeaderMask
  X25519Key: new (privateKey: Uint8Array) => NativeX25519Key
  GcmBox: new (key: Uint8Array) => NativeGcmBox
  /** Writes 32 bytes. */
  hkdfExtract(out: Uint8Array, salt: Uint8Array, keyMaterial: Uint8Array): void
  /** Fills `out`, of at most 8160 bytes. */
  hkdfExpand(out: Uint8Array, pseudorandomKey: Uint8Array, info: readonly Uint8Array[]): void
  /** With `fd` it takes over a socket that is open already. */
  UdpSocket: new (family: 4 | 6, fd?: number) => NativeUdpSocket
  /** Whether `text` is a numeric address; its record is written then. */
  parseAddress(text: string, port: number, record: Int32Array, offset: number): boolean
  formatAddress(record: Int32Array, offset: number): string
}

/** What is looked for first: parts that an addon built from older sources lacks. */
const expected = ['AeadKey', 'HeaderMask', 'X25519Key', 'GcmBox', 'UdpSocket'] as const satisfies readonly (keyof NativeAddon)[]
/** The same of its keys. One that knows them by no id would send unsealed what it is to seal first. */
const expectedOfKeys = ['id', 'openMany', 'release'] as const satisfies readonly (keyof NativeAeadKey)[]
/** The same of its sockets. */
const expectedOfSockets = ['stampArrivals', 'paceDepartures'] as const satisfies readonly (keyof NativeUdpSocket)[]

const packageRoot = fileURLToPath(new URL('../../../', import.meta.url))

/**
 * Loads what was built here, else what came with the package for this platform.
 * @throws Error if there is neither, or it does not fit this Node or these sources
 */
export function loadAddon(): NativeAddon {
  const require = createRequire(import.meta.url)
  const load = require('node-gyp-build') as (directory: string) => NativeAddon
  return checkAddon(load(packageRoot))
}

/**
 * The addon, if it fits these sources.
 * @throws Error if it does not
 */
export function checkAddon(addon: NativeAddon): NativeAddon {
  const fits =
    expected.every((name) => typeof addon[name] === 'function') &&
    expectedOfKeys.every((name) => typeof addon.AeadKey.prototype[name] === 'function') &&
    expectedOfSockets.every((name) => typeof addon.UdpSocket.prototype[name] === 'function')
  if (!fits) throw new Error('it was built from other sources: npm run build:native builds it anew')
  return addon
}
