# Installs docker-credential-atcr, which signs docker and others in to ATCR registries, for the current user.
#
# Written after the documentation of PowerShell and never run on Windows by those who wrote it.
#
#   ATCR_INSTALL_DIR  where to; %LOCALAPPDATA%\Programs\atcr unless told
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'

$registry = '@REGISTRY@'
$downloads = '@DOWNLOADS@'
# sha256 and name of what there is to download, as it was when this script was fetched.
$sums = '@SUMS@'

function Install-CredentialHelper {
  [Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
  if ($sums -eq '') {
    if ($downloads -eq '') { throw "$registry offers no builds of the credential helper; ask who runs it, or build it from its sources (npm run build:helper)" }
    $sums = (Invoke-WebRequest -UseBasicParsing -Uri "$downloads/SHA256SUMS").Content
    if ($sums -is [byte[]]) { $sums = [Text.Encoding]::UTF8.GetString($sums) }
  }
  # Windows on ARM runs programs for x64 too.
  $name = 'docker-credential-atcr-win-x64.exe.gz'
  $line = $sums -split "`n" | Where-Object { $_.Trim().EndsWith("  $name") } | Select-Object -First 1
  if (-not $line) { throw "$registry has no build for Windows" }
  $wanted = $line.Substring(0, 64)

  $work = Join-Path ([IO.Path]::GetTempPath()) ([IO.Path]::GetRandomFileName())
  New-Item -ItemType Directory -Path $work | Out-Null
  try {
    Write-Host "Downloading $name ..."
    $packed = Join-Path $work $name
    Invoke-WebRequest -UseBasicParsing -Uri "$downloads/$name" -OutFile $packed
    $found = (Get-FileHash -Algorithm SHA256 -Path $packed).Hash.ToLowerInvariant()
    if ($found -ne $wanted) { throw "the checksum of $downloads/$name is wrong; nothing was installed (wanted $wanted, found $found)" }
    $program = Join-Path $work 'docker-credential-atcr.exe'
    $from = New-Object IO.Compression.GZipStream ([IO.File]::OpenRead($packed)), ([IO.Compression.CompressionMode]::Decompress)
    $to = [IO.File]::Create($program)
    try { $from.CopyTo($to) } finally { $to.Dispose(); $from.Dispose() }
    $version = & $program version
    if ($LASTEXITCODE -ne 0) { throw 'the program does not run here; nothing was installed' }

    $folder = if ($env:ATCR_INSTALL_DIR) { $env:ATCR_INSTALL_DIR } else { Join-Path $env:LOCALAPPDATA 'Programs\atcr' }
    New-Item -ItemType Directory -Force -Path $folder | Out-Null
    $target = Join-Path $folder 'docker-credential-atcr.exe'
    # A program that runs cannot be overwritten, but it can be renamed.
    if (Test-Path $target) { Move-Item -Force $target "$target.old" }
    Move-Item -Force $program $target
    Write-Host "$version is installed in $folder."

    $userPath = [Environment]::GetEnvironmentVariable('Path', 'User')
    if (($userPath -split ';') -notcontains $folder) {
      [Environment]::SetEnvironmentVariable('Path', "$userPath;$folder".TrimStart(';'), 'User')
      Write-Host "$folder was added to your PATH: open a new window for it to count."
    }
    Write-Host "`nNow sign in, and docker knows you:`n  docker-credential-atcr login $registry"
  } finally {
    Remove-Item -Recurse -Force $work
  }
}

# In a function, so that half a script does nothing.
Install-CredentialHelper
