/**
 * The inspector against what the recordings are known to carry. It decodes from the datagrams and the keys alone.
 */
import { describe, expect, it } from 'vitest'
import { inspectCapture } from '../../src/inspect/inspect-capture.js'
import { caseDirectory, caseNames, loadCase } from '../helpers/vectors.js'

const cases = caseNames().map(name => {
  const versions = loadCase(name).info.connections.map(connection => connection.version ?? 'no version')
  return [[...new Set(versions)].join(' and '), name] as const
})

describe.each(cases)('mechanism: inspection of recordings: %s, %s', (_versions, name) => {
  const { info, datagrams } = loadCase(name)

  it('carries the requests and responses of its case.json', async () => {
    const { report, problems, dropped } = await inspectCapture(caseDirectory(name))
    expect(problems).toEqual([])
    expect(dropped).toBe(datagrams.filter(datagram => datagram.dropped).length)
    expect(JSON.parse(JSON.stringify(report))).toEqual({
      case: name,
      datagrams: datagrams.length,
      undecryptable: info.undecryptable ?? 0,
      connections: info.connections.map(({ conn, connectionId, version, requests, responses }) => {
        return { conn, connectionId, version, requests, responses }
      })
    })
  })
})
