import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { channelIdFromFile } from '../../../src/config/channel-id-file.js'
import { certificateOne } from '../../helpers/static-certificates.js'

const dir = mkdtempSync(join(tmpdir(), 'channel-id-'))
afterAll(() => rmSync(dir, { recursive: true }))

describe('a Channel ID key in a file', () => {
  it('is made, for its owner alone, and the same from then on', () => {
    const file = join(dir, 'made.pem')
    const made = channelIdFromFile(file).keyFor('www.example.org')!
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(readFileSync(file, 'utf8')).toMatch(/^-----BEGIN PRIVATE KEY-----/)
    expect(channelIdFromFile(file).keyFor('another.example')!.publicKey).toEqual(made.publicKey)
    expect(channelIdFromFile(join(dir, 'second.pem')).keyFor('www.example.org')!.publicKey).not.toEqual(made.publicKey)
  })

  it('is refused where others may read it, or where it is no such key', () => {
    const file = join(dir, 'open.pem')
    channelIdFromFile(file)
    chmodSync(file, 0o640)
    expect(() => channelIdFromFile(file)).toThrow(/open to other users; make it private: chmod 600/)
    const wrong: [string, string, RegExp][] = [
      ['junk.pem', 'junk', /expected an EC private key on P-256/],
      ['cert.pem', certificateOne.cert, /expected an EC private key on P-256/]
    ]
    for (const [name, text, message] of wrong) {
      writeFileSync(join(dir, name), text, { mode: 0o600 })
      expect(() => channelIdFromFile(join(dir, name))).toThrow(message)
    }
    expect(() => channelIdFromFile(join(dir, 'none', 'key.pem'))).toThrow(/cannot be made \(ENOENT\)/)
    expect(() => channelIdFromFile(dir)).toThrow(/cannot be read \(EISDIR\)/)
  })
})
