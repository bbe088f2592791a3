// Identifiers and what joins them, laid out in layers. The lists below it say the same in words.
import dagre from '@dagrejs/dagre'
import { Background, type Edge, type Node, ReactFlow } from '@xyflow/react'
import { useMemo } from 'react'
import '@xyflow/react/dist/style.css'
import type { Shape } from '~/api/client'
import { useTheme } from '~/app/theme'
import styles from './people.module.css'

type Props = {
  label: string
  identifiers: readonly Shape<'IdentifierView'>[]
  evidence: readonly Shape<'Evidence'>[]
}

const WIDTH = 220
const HEIGHT = 40
/** Beyond so many statements the picture says nothing any more; the newest are drawn. */
const STATEMENTS_MAX = 40

function laidOut({ identifiers, evidence }: Props): { nodes: Node[]; edges: Edge[] } {
  const names = identifiers.map((one) => `${one.kind}:${one.value}`)
  const counts = evidence.filter((one) => !one.withdrawn).slice(-STATEMENTS_MAX)
  const edges = counts.flatMap((one) =>
    one.identifiers
      .filter((name) => names.includes(name))
      .map((name) => ({ id: `${one.id} ${name}`, source: `e ${one.id}`, target: `i ${name}` })),
  )
  const all = [
    ...names.map((name) => ({ id: `i ${name}`, label: name, type: 'output' })),
    ...counts.map((one) => ({ id: `e ${one.id}`, label: one.says, type: 'input' })),
  ]
  const graph = new dagre.graphlib.Graph()
  graph.setGraph({ rankdir: 'LR', nodesep: 12, ranksep: 90 })
  graph.setDefaultEdgeLabel(() => ({}))
  for (const node of all) graph.setNode(node.id, { width: WIDTH, height: HEIGHT })
  for (const edge of edges) graph.setEdge(edge.source, edge.target)
  dagre.layout(graph)
  const nodes = all.map(({ id, label, type }) => {
    const { x, y } = graph.node(id) as { x: number; y: number }
    return {
      id,
      type,
      position: { x: x - WIDTH / 2, y: y - HEIGHT / 2 },
      sourcePosition: 'right',
      targetPosition: 'left',
      style: { width: WIDTH },
      data: { label },
    } as Node
  })
  return { nodes, edges }
}

export default function Graph(props: Props) {
  const { theme } = useTheme()
  const { nodes, edges } = useMemo(() => laidOut(props), [props])
  return (
    <div className={styles.graph} role="img" aria-label={props.label}>
      <ReactFlow
        nodes={nodes}
        edges={edges}
        colorMode={theme}
        fitView
        nodesDraggable={false}
        nodesConnectable={false}
        nodesFocusable={false}
        edgesFocusable={false}
        elementsSelectable={false}
        proOptions={{ hideAttribution: true }}
      >
        <Background />
      </ReactFlow>
    </div>
  )
}
