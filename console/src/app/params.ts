import { useParams } from '@tanstack/react-router'

/** What stands in the address for `$name`. Typed here: the router's own types go round in circles with the pages it loads. */
export function useParam(name: string): string {
  const params: Partial<Record<string, string>> = useParams({ strict: false })
  return params[name] ?? ''
}
