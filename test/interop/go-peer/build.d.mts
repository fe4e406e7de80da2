export function missingGo(): Promise<string | undefined>
export function buildGoPeer(): Promise<string>
