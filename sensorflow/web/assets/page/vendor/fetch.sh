#!/bin/sh
# Fetches what the page is built on from the npm registry, by name and version, and lets the modules
# find each other by relative paths, so that a browser needs no import map and nobody needs Node.
# Run it in this folder after a change of a version; README.md lists what is here.
set -eu
fetched=$(mktemp -d)
here=$(pwd)
for package in preact@11.2.0 htm@3.1.1 @preact/signals-core@1.14.5 @preact/signals@2.11.4 \
  @dagrejs/dagre@3.1.3 uplot@1.6.32; do
  (cd "$fetched" && npm pack --silent "$package" >/dev/null)
done
take() { # archive, file inside, name here
  tar -xzOf "$fetched/$1" "package/$2" | sed -e '/^\/\/# sourceMappingURL=/d' \
    -e 's#from *"preact/hooks"#from"./preact-hooks.js"#g' -e 's#from *"preact"#from"./preact.js"#g' \
    -e 's#from *"@preact/signals-core"#from"./signals-core.js"#g' > "$here/$3"
}
take preact-11.2.0.tgz dist/preact.mjs preact.js
take preact-11.2.0.tgz hooks/dist/hooks.mjs preact-hooks.js
take preact-11.2.0.tgz LICENSE preact.LICENSE
take htm-3.1.1.tgz dist/htm.mjs htm.js
take htm-3.1.1.tgz LICENSE htm.LICENSE
take preact-signals-core-1.14.5.tgz dist/signals-core.mjs signals-core.js
take preact-signals-2.11.4.tgz dist/signals.mjs signals.js
take preact-signals-2.11.4.tgz LICENSE signals.LICENSE
take dagrejs-dagre-3.1.3.tgz dist/dagre.esm.js dagre.js
take dagrejs-dagre-3.1.3.tgz LICENSE dagre.LICENSE
take uplot-1.6.32.tgz dist/uPlot.esm.js uplot.js
take uplot-1.6.32.tgz dist/uPlot.min.css uplot.css
take uplot-1.6.32.tgz LICENSE uplot.LICENSE
rm -r "$fetched"
