export const sizes = {}
export const quickSizes = {}
export async function* cases() {}
