// Lets a request through when the model that its body names is certain, and one of these.
// Certain: exactly one JSON object; one key alone is `model` or `name` (in any case), written without escapes.
const EXACT = {{ exact }};
const PREFIXES = {{ prefixes }};

function named(text) {
    const body = JSON.parse(text);
    if (body === null || typeof body !== 'object' || Array.isArray(body)) {
        return undefined;
    }
    // JSON.parse hides repeated keys, so the keys of the outermost object are read once more.
    const mark = /["{}\[\]]/g;
    let found = undefined;
    let depth = 0;
    let hit;
    while ((hit = mark.exec(text)) !== null) {
        if (hit[0] === '{' || hit[0] === '[') {
            depth += 1;
        } else if (hit[0] !== '"') {
            depth -= 1;
        } else {
            const start = hit.index + 1;
            let end = start;
            for (;;) {
                end = text.indexOf('"', end);
                let back = end;
                while (text[back - 1] === '\\') {
                    back -= 1;
                }
                if ((end - back) % 2 === 0) {
                    break;
                }
                end += 1;
            }
            mark.lastIndex = end + 1;
            let after = end + 1;
            while (' \t\r\n'.indexOf(text[after]) !== -1) {
                after += 1;
            }
            if (depth === 1 && text[after] === ':') {
                const key = JSON.parse(text.slice(start - 1, end + 1));
                const lower = key.toLowerCase();
                if (lower === 'model' || lower === 'name') {
                    if (found !== undefined || end - start !== key.length) {
                        return undefined;
                    }
                    found = key;
                }
            }
        }
    }
    return found === undefined ? undefined : body[found];
}

function inspect(r) {
    let model = undefined;
    try {
        const type = (r.headersIn['Content-Type'] || '').toLowerCase();
        if (r.headersIn['Content-Encoding'] === undefined && type.indexOf('multipart/') === -1) {
            model = named(r.requestText);
        }
    } catch (e) {
        model = undefined;
    }
    const listed = typeof model === 'string'
        && (EXACT.indexOf(model) !== -1 || PREFIXES.some(function (prefix) { return model.startsWith(prefix); }));
    if (listed) {
        r.internalRedirect('/./llmguard/forward');
    } else {
        r.return(403);
    }
}

export default { inspect };
