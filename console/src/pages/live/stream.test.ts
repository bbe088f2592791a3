import { expect, test } from 'vitest'
import { reader } from './stream'

test('events come in any pieces', () => {
  const text = ': keep-alive\n\nevent: accepted\nid: 7\ndata: {"a":\ndata: 1}\n\nevent: missed\ndata: 3\n\nevent: acc'
  const whole = [
    { event: 'accepted', id: '7', data: '{"a":\n1}' },
    { event: 'missed', id: '', data: '3' },
  ]
  expect(reader()(text)).toEqual(whole)
  const read = reader()
  expect([...text].flatMap((character) => read(character))).toEqual(whole)
  expect(read('epted\r\ndata: x\r\n\r\n')).toEqual([{ event: 'accepted', id: '', data: 'x' }])
})
