// Server-sent events, read from a response's body: `EventSource` cannot say which workspace is meant.
// The form: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

export type Sent = { event: string; data: string; id: string }

/** Takes text as it comes, in any pieces, and gives the events that are whole. */
export function reader(): (piece: string) => Sent[] {
  let rest = ''
  return (piece) => {
    const blocks = (rest + piece).replaceAll('\r\n', '\n').split('\n\n')
    rest = blocks.pop() ?? ''
    return blocks.flatMap((block) => {
      const sent: Sent = { event: 'message', data: '', id: '' }
      const data: string[] = []
      for (const line of block.split('\n')) {
        const [, name = '', value = ''] = /^(\w*): ?(.*)$/.exec(line) ?? []
        if (name === 'data') data.push(value)
        if (name === 'event' || name === 'id') sent[name] = value
      }
      return data.length > 0 ? [{ ...sent, data: data.join('\n') }] : []
    })
  }
}

/** Reads a stream until it ends or `signal` says so. */
export async function follow(
  url: string,
  headers: Record<string, string>,
  signal: AbortSignal,
  take: (sent: Sent[]) => void,
): Promise<void> {
  const answer = await fetch(url, { headers: { ...headers, accept: 'text/event-stream' }, signal })
  if (!answer.ok || !answer.body) throw await answer.json()
  const pieces = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  const read = reader()
  for (;;) {
    const { done, value } = await pieces.read()
    if (done) return
    const sent = read(value)
    if (sent.length > 0) take(sent)
  }
}
