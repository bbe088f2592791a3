import { useQueryClient } from '@tanstack/react-query'
import type { paths } from './schema'

/** Asks for these anew, whatever their parameters: after something that they show was changed. */
export function useRefresh(...of: (keyof paths)[]): () => void {
  const cache = useQueryClient()
  return () => of.forEach((path) => void cache.invalidateQueries({ queryKey: ['get', path] }))
}
