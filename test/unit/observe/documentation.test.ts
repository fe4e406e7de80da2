import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const text = readFileSync('docs/observability.md', 'utf8')
const source = (file: string): string => readFileSync(`src/${file}`, 'utf8')

describe('docs/observability.md', () => {
  it('has every event', () => {
    const code = readdirSync('src/observe/qlog').map((file) => source(`observe/qlog/${file}`)).join('')
    const names = [...code.matchAll(/'((?:connectivity|transport|security|recovery|gquic):\w+)'/g)].map(([, name]) => name!)
    expect(new Set(names).size).toBeGreaterThan(12)
    for (const name of names) expect(text, name).toContain(`\`${name}\``)
  })

  it('has every field of the key log', () => {
    const line = source('observe/key-log.ts').split('function keyLine')[1]!
    const fields = [...line.matchAll(/^ {4}(\w+): /gm)].map(([, name]) => name!)
    expect(fields).toContain('clientHp')
    expect(fields).toHaveLength(11)
    for (const name of fields) expect(text, name).toMatch(new RegExp(`^\\|[^|]*\`${name}\``, 'm'))
  })

  it('has every method of an observer', () => {
    const methods = [...source('quic/transport/observer.ts').matchAll(/^ {2}(on\w+)\?\(/gm)].map(([, name]) => name!)
    expect(methods.length).toBeGreaterThan(10)
    for (const name of methods) expect(text, name).toContain(`\`${name}\``)
  })

  it('gives the numbers that hold', () => {
    const sinks = source('observe/connection-recorder.ts')
    expect(sinks).toContain('TROUBLE_TRACES_A_MINUTE = 60')
    expect(text).toContain('At most 60 connections in a minute')
    expect(source('observe/qlog/event-ring.ts')).toContain('MAX_MILESTONES = 64')
    expect(source('observe/qlog/qlog-directory.ts')).toContain('WRITE_SIZE = 64 * 1024')
  })
})
