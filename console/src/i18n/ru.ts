// All texts in this language: each part of the console has its own file of them.
const files = import.meta.glob<Record<string, string>>('../**/messages/ru.json', { eager: true, import: 'default' })

export default Object.assign({}, ...Object.values(files)) as Record<string, string>
