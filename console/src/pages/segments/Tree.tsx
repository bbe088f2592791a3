// The condition as nested groups. Rows are dragged by pointer or keyboard, or moved by buttons: each way does the same.
import {
  DndContext,
  type DragEndEvent,
  KeyboardSensor,
  PointerSensor,
  useDraggable,
  useDroppable,
  useSensor,
  useSensors,
} from '@dnd-kit/core'
import { ArrowDown, ArrowUp, FolderPlus, GripVertical, LogOut, Plus, Trash2 } from 'lucide-react'
import { useText } from '~/i18n'
import { Button, IconButton } from '~/ui/Button'
import { CheckField, SelectField } from '~/ui/Field'
import { Menu } from '~/ui/Menu'
import { Controls } from './Rows'
import styles from './segments.module.css'
import {
  at,
  type Condition,
  childrenOf,
  type Group,
  inserted,
  isGroup,
  meant,
  moved,
  negated,
  type Path,
  removed,
  replaced,
} from './tree'

/** What a new row is. */
const FRESH: Record<'trait' | 'events' | 'computed' | 'segment' | 'consent', Condition> = {
  trait: { trait: { name: '', is: { equals: '' } } },
  events: { events: { measure: 'count', event: '', is: { at_least: 1 } } },
  computed: { computed: { name: '', is: { greater: 0 } } },
  segment: { segment: '' },
  consent: { consent: { purpose: '' } },
}

type Edit = { root: Group; onChange: (root: Group) => void }

const idOf = (path: Path): string => path.join('.') || 'root'
const pathOf = (id: string): Path => (id === 'root' ? [] : id.split('.').map(Number))

/** A row in words, for who hears it moved. */
function brief(node: Condition | undefined): string {
  return node ? JSON.stringify(meant(node)).replace(/[{}"]/g, ' ').slice(0, 80) : ''
}

function Row({ edit, path, node }: { edit: Edit; path: Path; node: Condition }) {
  const t = useText()
  const { root, onChange } = edit
  const drag = useDraggable({ id: idOf(path) })
  const drop = useDroppable({ id: `before ${idOf(path)}` })
  const place = path.at(-1) ?? 0
  const group = path.slice(0, -1)
  const siblings = childrenOf(meant(at(root, group) ?? root) as Group).length
  const inner = meant(node)
  const not = 'not' in node
  const move = (to: Path, before: number) => onChange(moved(root, path, to, before))
  return (
    <li ref={drop.setNodeRef} className={styles.row} data-over={drop.isOver} data-dragged={drag.isDragging}>
      <IconButton
        label={t('segments.drag')}
        className={styles.grip ?? ''}
        ref={drag.setNodeRef}
        {...drag.listeners}
        {...drag.attributes}
      >
        <GripVertical aria-hidden="true" />
      </IconButton>
      <div>
        <CheckField
          label={t('segments.not')}
          checked={not}
          onChange={(event) => onChange(replaced(root, path, negated(node, event.target.checked)))}
        />
        {isGroup(inner) ? (
          <GroupBox edit={edit} path={path} group={inner} />
        ) : (
          <Controls
            of={inner}
            text={
              <>
                <code>{brief(inner)}</code> – {t('segments.asText')}
              </>
            }
            onChange={(next) => onChange(replaced(root, path, negated(next, not)))}
          />
        )}
      </div>
      <div className={styles.bar}>
        <IconButton label={t('segments.up')} disabled={place === 0} onClick={() => move(group, place - 1)}>
          <ArrowUp aria-hidden="true" />
        </IconButton>
        <IconButton label={t('segments.down')} disabled={place === siblings - 1} onClick={() => move(group, place + 2)}>
          <ArrowDown aria-hidden="true" />
        </IconButton>
        {group.length > 0 && (
          <IconButton label={t('segments.out')} onClick={() => move(group.slice(0, -1), (group.at(-1) ?? 0) + 1)}>
            <LogOut aria-hidden="true" />
          </IconButton>
        )}
        {!isGroup(inner) && (
          <IconButton label={t('segments.wrap')} onClick={() => onChange(replaced(root, path, { any: [node] }))}>
            <FolderPlus aria-hidden="true" />
          </IconButton>
        )}
        <IconButton label={t('segments.take')} onClick={() => onChange(removed(root, path))}>
          <Trash2 aria-hidden="true" />
        </IconButton>
      </div>
    </li>
  )
}

function GroupBox({ edit, path, group }: { edit: Edit; path: Path; group: Group }) {
  const t = useText()
  const { root, onChange } = edit
  const children = childrenOf(group)
  const drop = useDroppable({ id: `into ${idOf(path)}` })
  const node = at(root, path)
  const not = path.length > 0 && node !== undefined && 'not' in node
  const add = (fresh: Condition) => onChange(inserted(root, path, children.length, fresh))
  const kinds = Object.keys(FRESH) as (keyof typeof FRESH)[]
  return (
    <fieldset className={styles.group} ref={drop.setNodeRef} data-over={drop.isOver}>
      <legend className="hidden-text">{t('segments.group')}</legend>
      <div className={styles.bar}>
        <SelectField
          label={t('segments.group')}
          hideLabel
          options={[
            { value: 'all', label: t('segments.all') },
            { value: 'any', label: t('segments.any') },
          ]}
          value={'all' in group ? 'all' : 'any'}
          onChange={(event) => {
            const next: Group = event.target.value === 'all' ? { all: children } : { any: children }
            onChange(path.length === 0 ? next : replaced(root, path, negated(next, not)))
          }}
        />
      </div>
      <ul className={styles.rows}>
        {children.map((child, place) => (
          <Row key={place} edit={edit} path={[...path, place]} node={child} />
        ))}
      </ul>
      <div className={styles.bar}>
        <Menu
          trigger={
            <Button>
              <Plus aria-hidden="true" />
              {t('segments.add')}
            </Button>
          }
          groups={[
            { items: kinds.map((kind) => ({ label: t(`segments.kind.${kind}`), onSelect: () => add(FRESH[kind]) })) },
            { items: [{ label: t('segments.kind.group'), onSelect: () => add({ any: [] }) }] },
          ]}
        />
      </div>
    </fieldset>
  )
}

export function Tree(edit: Edit) {
  const t = useText()
  const { root, onChange } = edit
  const sensors = useSensors(
    useSensor(PointerSensor, { activationConstraint: { distance: 4 } }),
    useSensor(KeyboardSensor),
  )
  const said = (id: string | number) => ({ row: brief(at(root, pathOf(String(id)))) })
  const end = ({ active, over }: DragEndEvent) => {
    if (!over) return
    const [how, id = 'root'] = String(over.id).split(' ')
    const target = pathOf(id)
    const from = pathOf(String(active.id))
    if (how === 'before') onChange(moved(root, from, target.slice(0, -1), target.at(-1) ?? 0))
    else onChange(moved(root, from, target, childrenOf(meant(at(root, target) ?? root) as Group).length))
  }
  return (
    <DndContext
      sensors={sensors}
      onDragEnd={end}
      accessibility={{
        screenReaderInstructions: { draggable: t('segments.drag.how') },
        announcements: {
          onDragStart: ({ active }) => t('segments.drag.start', said(active.id)),
          onDragOver: ({ active, over }) => t(over ? 'segments.drag.over' : 'segments.drag.nowhere', said(active.id)),
          onDragEnd: ({ active, over }) => t(over ? 'segments.drag.end' : 'segments.drag.cancel', said(active.id)),
          onDragCancel: ({ active }) => t('segments.drag.cancel', said(active.id)),
        },
      }}
    >
      <GroupBox edit={edit} path={[]} group={root} />
    </DndContext>
  )
}
