/**
 * Reads a Dockerfile and carries its steps out in scratch folders, without a Docker engine: every stage gets a folder
 * that stands for its root. Base images are this machine, and ownership is not changed (that needs root and the
 * image's users); everything else runs as written.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'

/**
 * The instructions of a Dockerfile, continuation lines joined, comments left out.
 * @returns {{ name: string, text: string }[]}
 */
export function parseDockerfile(source) {
  return source
    .split('\n')
    .filter((line) => !/^\s*#/.test(line))
    .join('\n')
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, name, text] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? []
      if (name === undefined) throw new Error(`no instruction: ${line}`)
      return { name, text: text.replaceAll(/\s+/g, ' ').trim() }
    })
}

/** What the image of the last stage is and does. */
class Image {
  constructor(root) {
    this.root = root
    this.workdir = '/'
    this.env = {}
    this.entrypoint = []
    this.command = []
    this.healthCheck = ''
  }

  /** Where an absolute path of the image lies on this machine. */
  path(inImage) {
    return join(this.root, inImage)
  }

  /** Shell text whose absolute paths lead into the image's folder. */
  map(text) {
    return text.replaceAll(/(^|[\s='":])(\/[\w.@-][\w./@-]*)/g, (_all, before, path) => before + this.path(path))
  }

  /** The environment for programs of the image. */
  environment(extra = {}) {
    const path = [this.path('/../shims'), this.path('/usr/local/bin'), process.env.PATH].join(':')
    return { ...process.env, ...this.env, PATH: path, ...extra }
  }

  /** Runs shell text as RUN does. */
  shell(text) {
    execFileSync('/bin/sh', ['-e', '-c', this.map(text)], {
      cwd: this.path(this.workdir),
      env: this.environment(),
      stdio: ['ignore', 'inherit', 'inherit']
    })
  }
}

/**
 * Builds all stages below `scratch` from the build context `context`.
 * @returns {Image} the last stage
 */
export function buildInScratch(context, scratch) {
  const kept = readKept(context)
  const stages = new Map()
  let image
  makeShims(scratch)
  for (const { name, text } of parseDockerfile(readFileSync(join(context, 'Dockerfile'), 'utf8'))) {
    process.stdout.write(`${name} ${text}\n`)
    if (name === 'FROM') {
      const stage = / AS (\S+)$/i.exec(text)?.[1] ?? `stage-${stages.size}`
      image = new Image(join(scratch, stage))
      mkdirSync(image.root)
      stages.set(stage, image)
    } else {
      step(image, name, text, { context, kept, stages })
    }
  }
  return image
}

function step(image, name, text, { context, kept, stages }) {
  switch (name) {
    case 'WORKDIR':
      image.workdir = text
      mkdirSync(image.path(text), { recursive: true })
      return
    case 'ENV': {
      const [key, value] = text.split('=')
      image.env[key] = value
      return
    }
    case 'COPY':
      return copy(image, text.split(' '), { context, kept, stages })
    case 'RUN':
      return image.shell(text)
    case 'ENTRYPOINT':
      image.entrypoint = JSON.parse(text)
      return
    case 'CMD':
      image.command = JSON.parse(text)
      return
    case 'HEALTHCHECK':
      image.healthCheck = / CMD (.*)$/.exec(text)[1]
      return
    case 'USER':
    case 'EXPOSE':
      return
    default:
      throw new Error(`instruction ${name} is not known here: add it`)
  }
}

function copy(image, words, { context, kept, stages }) {
  const from = /^--from=(.*)$/.exec(words[0])?.[1]
  const sources = words.slice(from === undefined ? 0 : 1, -1)
  const target = words.at(-1)
  const destination = resolve(image.path(image.workdir), target.startsWith('/') ? image.path(target) : target)
  for (const source of sources) {
    if (from === undefined && !kept.includes(source)) throw new Error(`.dockerignore keeps out ${source}`)
    const path = from === undefined ? join(context, source) : stages.get(from).path(source)
    if (!existsSync(path)) throw new Error(`COPY of ${source}, which does not exist`)
    // A directory's content goes to the target; a file goes into a target that ends in "/".
    const into = statSync(path).isDirectory() || !target.endsWith('/') ? destination : join(destination, basename(path))
    cpSync(path, into, { recursive: true, verbatimSymlinks: true })
  }
}

/** What .dockerignore lets through: it leaves everything out and takes single names back in. */
function readKept(context) {
  const lines = readFileSync(join(context, '.dockerignore'), 'utf8').split('\n')
  if (!lines.includes('*')) throw new Error('.dockerignore is expected to leave everything out first')
  return lines.filter((line) => line.startsWith('!')).map((line) => line.slice(1))
}

/** A chown that only looks whether its files exist. */
function makeShims(scratch) {
  const shims = join(scratch, 'shims')
  mkdirSync(shims)
  writeFileSync(join(shims, 'chown'), '#!/bin/sh\nshift\nexec ls -d "$@" > /dev/null\n')
  chmodSync(join(shims, 'chown'), 0o755)
}
