/**
 * Everything that is exported says what it is for: the API reference is made from docstrings.
 */
import { resolve } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const { config } = ts.readConfigFile('tsconfig.json', (path) => ts.sys.readFile(path)) as { config: object }
const { options, fileNames } = ts.parseJsonConfigFileContent(config, ts.sys, process.cwd())
const sources = fileNames.filter((name) => name.startsWith(resolve('src')))

/** Whether a declaration is one of those that have to be described. */
function needsWords(node: ts.Node): boolean {
  return (
    ts.isClassDeclaration(node) ||
    ts.isFunctionDeclaration(node) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isVariableStatement(node)
  )
}

function hasDocstring(node: ts.Node): boolean {
  return ts.getJSDocCommentsAndTags(node).some((doc) => ts.isJSDoc(doc) && doc.comment !== undefined)
}

/** The exported declarations of a file that have no docstring, as `file:line name`. */
function undocumented(file: ts.SourceFile, kinds: (node: ts.Node) => boolean): string[] {
  const found: string[] = []
  for (const node of file.statements) {
    const exported = ts.canHaveModifiers(node) && ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)
    if (exported !== true || !kinds(node) || hasDocstring(node)) continue
    const line = file.getLineAndCharacterOfPosition(node.getStart()).line + 1
    found.push(`${file.fileName.replace(`${process.cwd()}/`, '')}:${line} ${node.getText().split('\n')[0]!.slice(0, 60)}`)
  }
  return found
}

describe('docstrings', () => {
  it('are on every exported class and function of the sources', () => {
    const parse = (name: string): ts.SourceFile =>
      ts.createSourceFile(name, ts.sys.readFile(name)!, ts.ScriptTarget.ES2022, true)
    const missing = sources.flatMap((name) =>
      undocumented(parse(name), (node) => ts.isClassDeclaration(node) || ts.isFunctionDeclaration(node))
    )
    expect(missing).toEqual([])
    expect(sources.length).toBeGreaterThan(100)
  })

  it('are on everything that the library exports, and on the abstract methods of its classes', () => {
    const program = ts.createProgram([resolve('src/index.ts')], { ...options, noEmit: true })
    const checker = program.getTypeChecker()
    const index = checker.getSymbolAtLocation(program.getSourceFile(resolve('src/index.ts'))!)!
    const missing: string[] = []
    const exported = checker.getExportsOfModule(index)
    for (const symbol of exported) {
      const target = (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol)
      // A const object and the type of its values share a name: one of them is described.
      const nodes = (target.declarations ?? []).map((node) => (ts.isVariableDeclaration(node) ? node.parent.parent : node))
      if (!nodes.some((node) => needsWords(node) && hasDocstring(node))) missing.push(symbol.name)
      for (const node of nodes) if (ts.isClassDeclaration(node)) missing.push(...silentMethods(node))
    }
    expect(missing).toEqual([])
    expect(exported.length).toBeGreaterThan(40)
  }, 120_000)
})

/** Methods that others have to write, of classes for others to extend, without a word on what they are to do. */
function silentMethods(node: ts.ClassDeclaration): string[] {
  const hidden = ts.SyntaxKind.PrivateKeyword
  return node.members
    .filter((member) => ts.isMethodDeclaration(member) && member.body === undefined)
    .filter((member) => !(ts.getModifiers(member as ts.MethodDeclaration) ?? []).some(({ kind }) => kind === hidden))
    .filter((member) => !hasDocstring(member))
    .map((member) => `${node.name!.text}.${member.name!.getText()}`)
}
