/**
 * The engine of the addon: many datagrams a system call, cut and joined by the kernel, and AEAD contexts kept per key.
 */
import { isIPv6 } from 'node:net'
import { constants } from 'node:os'
import type { PeerAddress } from '../../quic/types.js'
import type { DatagramEngine, DatagramSocket, SocketGroup, SocketGroupOptions, SocketOptions } from '../datagram-engine.js'
import { ADDRESS_WORDS, loadAddon, Lost, Offload, type NativeAddon, type NativeUdpSocket } from './native-addon.js'
import { NativeAeadProvider } from './native-aead.js'
import { addressOf, NativeAddressBook } from './native-addresses.js'
import { ReceivePool, SendArena } from './native-memory.js'
import { NativeDatagramSocket, systemError, type NativeShared } from './native-socket.js'
import { encodeFilter, reusePortFilter } from './reuse-port-filter.js'

const DEFAULT_RECEIVE_BUFFER = 4 * 1024 * 1024
const SEND_BUFFER = 4 * 1024 * 1024

/** How the engine uses the kernel. */
export interface NativeEngineOptions {
  /** Whether the kernel, or the network card, may cut what is sent in one piece into datagrams (default true). */
  segmentationOffload?: boolean
  /**
   * The ECN codepoint of what is sent (RFC 3168: 0 none, 1 ECT(1), 2 ECT(0)); default 0. Google QUIC tells nobody of
   * marks that come in, so this is for networks that treat marked traffic differently.
   */
  ecn?: 0 | 1 | 2
  /**
   * Whether the kernel is told when packets are due (SO_TXTIME) that the pacer lets go up to a millisecond early, so that
   * timers need be no finer; default false. It takes an interface whose queueing discipline is `fq` to hold them back:
   * others send at once, as without. Round trips come out longer by what a packet was held.
   */
  pacingTime?: boolean
  /** Told, once for each, what the system turned out not to have: the engine goes on without. */
  onDegraded?: (message: string) => void
}

/** See the file comment. */
export class NativeEngine implements DatagramEngine {
  readonly name = 'native'
  readonly aeadProvider: NativeAeadProvider
  private readonly shared: NativeShared
  private told = 0

  /** @throws Error if the addon is not there, or does not fit this Node */
  constructor(
    private readonly options: NativeEngineOptions = {},
    private readonly addon: NativeAddon = loadAddon()
  ) {
    this.aeadProvider = new NativeAeadProvider(addon)
    this.shared = {
      pool: new ReceivePool(),
      arena: new SendArena(),
      addresses: new NativeAddressBook(addon),
      onLost: (bits) => this.onLost(bits)
    }
  }

  open(options: SocketOptions): Promise<DatagramSocket> {
    return new Promise((resolve) => resolve(this.openNow(options)))
  }

  private openNow(options: SocketOptions): DatagramSocket {
    const { address, port, connectTo, handler, reusePort, fd } = options
    const native = this.create(isIPv6(address) ? 6 : 4, fd)
    try {
      if (fd === undefined) this.bind(native, address, port, reusePort?.count)
      const granted = native.setBufferSizes(options.receiveBufferSize ?? DEFAULT_RECEIVE_BUFFER, SEND_BUFFER)
      this.useOffloads(native)
      // Without, what waits for this program is taken to arrive when it is read.
      native.stampArrivals()
      if (connectTo !== undefined) {
        const { address: host, port: peerPort } = connectTo
        check('connect', native.connect(this.record('connect', host, peerPort)), host, peerPort)
      }
      return new NativeDatagramSocket(native, this.localAddress(native), granted, handler, this.shared)
    } catch (error) {
      native.close()
      throw error
    }
  }

  openGroup(options: SocketGroupOptions): Promise<SocketGroup> {
    return new Promise((resolve) => resolve(this.openGroupNow(options)))
  }

  private openGroupNow({ address, port, count, receiveBufferSize }: SocketGroupOptions): SocketGroup {
    const sockets: NativeUdpSocket[] = []
    const close = (): void => sockets.forEach((socket) => socket.close())
    try {
      let local: PeerAddress | undefined
      while (sockets.length < count) {
        const native = this.create(isIPv6(address) ? 6 : 4)
        sockets.push(native)
        // Any port is one and the same for all of them.
        this.bind(native, address, local?.port ?? port, count)
        native.setBufferSizes(receiveBufferSize ?? DEFAULT_RECEIVE_BUFFER, SEND_BUFFER)
        local ??= this.localAddress(native)
      }
      return { localAddress: local!, fds: sockets.map((socket) => socket.descriptor()), close }
    } catch (error) {
      close()
      throw error
    }
  }

  /** @param shared how many sockets share the address, if they do */
  private bind(native: NativeUdpSocket, address: string, port: number, shared: number | undefined): void {
    if (shared !== undefined) check('setsockopt', native.sharePort())
    check('bind', native.bind(this.record('bind', address, port)), address, port)
    if (shared !== undefined) check('setsockopt', native.chooseBy(encodeFilter(reusePortFilter(shared))))
  }

  private create(family: 4 | 6, fd?: number): NativeUdpSocket {
    try {
      return new this.addon.UdpSocket(family, fd)
    } catch (error) {
      throw Object.assign(error as Error, { syscall: 'socket' })
    }
  }

  private record(syscall: string, address: string, port: number): Int32Array {
    const record = new Int32Array(ADDRESS_WORDS)
    if (this.addon.parseAddress(address, port, record, 0)) return record
    throw systemError(syscall, constants.errno.EINVAL, address, port)
  }

  private localAddress(native: NativeUdpSocket): PeerAddress {
    const record = new Int32Array(ADDRESS_WORDS)
    check('getsockname', native.localAddress(record))
    return addressOf(this.addon, record, 0)
  }

  private useOffloads(native: NativeUdpSocket): void {
    const { segmentationOffload = true, ecn = 0, pacingTime = false } = this.options
    const found = native.useOffloads(segmentationOffload ? 1 : 0)
    if (segmentationOffload && (found & Offload.Segmentation) === 0) this.onLost(Lost.Segmentation)
    if (ecn !== 0) check('setsockopt', native.markEcn(ecn))
    if (pacingTime && native.paceDepartures() !== 0) this.onLost(Lost.Departures)
  }

  private onLost(bits: number): void {
    const fresh = bits & ~this.told
    this.told |= bits
    const { onDegraded } = this.options
    if ((fresh & Lost.Segmentation) !== 0) {
      onDegraded?.('UDP segmentation offload does not work here: datagrams are handed to the kernel one by one, in batches')
    }
    if ((fresh & Lost.ManyMessages) !== 0) {
      onDegraded?.('sendmmsg does not work here: each datagram costs a system call')
    }
    if ((fresh & Lost.Departures) !== 0) {
      onDegraded?.('SO_TXTIME does not work here: packets that are due within a millisecond leave at once')
    }
  }
}

function check(syscall: string, errno: number, address?: string, port?: number): void {
  if (errno !== 0) throw systemError(syscall, errno, address, port)
}
