/** What both configuration files may say of the QUIC transport. */
import { z } from 'zod'

/** How the sending rate is found. */
export const congestionAlgorithms = ['cubic', 'reno', 'bbr'] as const

/** What moves the datagrams: native code, Node alone, or native code where it is there. */
export const engine = z.enum(['auto', 'native', 'node']).default('auto')
  .describe('what moves and protects datagrams: native code, Node\'s own modules, or native code where it runs')

/** How large the packets may be that are looked for. */
export const mtuDiscoveryModes = ['off', 'low', 'high'] as const

/** A connection option (COPT): a tag of four characters. */
export const connectionOption = z
  .string()
  .regex(/^[\x21-\x7e]{4}$/, 'expected a tag of four characters such as TBBR or ACKD')
