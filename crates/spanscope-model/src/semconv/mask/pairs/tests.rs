//! Tests which pairs of each notation are masked, and which texts are not pairs.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::borrow::Cow;

use super::super::mask_text;

/// In each text, `hunter2` is the secret.
const SECRETS: [&str; 111] = [
    // Environments.
    "AWS_SECRET_ACCESS_KEY=hunter2",
    "export AWS_SECRET_ACCESS_KEY=hunter2",
    "PATH=/usr/bin\nDB_PASSWORD=hunter2\nHOME=/root",
    "DB_PASSWORD='hunter2'",
    "DB_PASSWORD=\"hunter2\"",
    "env OPENAI_API_KEY=hunter2 python main.py",
    "set GITHUB_TOKEN=hunter2&& npm publish",
    "docker run -e DB_PASSWORD=hunter2 -e A=b img",
    "password=;hunter2",
    "PASSWORD=(hunter2)",
    // Forms, queries and cookies.
    "a=1&password=hunter2",
    "password=hunter2&a=1",
    "user[password]=hunter2&a=1",
    "GET /v1/x?api_key=hunter2&b=2 HTTP/1.1",
    "Set-Cookie: sid=hunter2; Path=/; HttpOnly",
    "Cookie: a=hunter2; b=hunter2",
    "< set-cookie: sid=hunter2; Path=/",
    "cookie: a=hunter2; b=hunter2\r\nhost: x",
    // Headers of requests.
    "Authorization: Bearer hunter2",
    "authorization: bearer hunter2",
    "Authorization: hunter2",
    "Authorization:Bearer hunter2",
    "Authorization: Basic hunter2==",
    "Authorization: Basic hunter",
    "Proxy-Authorization: Basic hunter2",
    "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer hunter2\r\nAccept: */*\r\n",
    "Authorization: Digest username=\"a\", response=\"hunter2\"",
    "Authorization: AWS4-HMAC-SHA256 Credential=hunter2/x, Signature=hunter2",
    "x-api-key: hunter2",
    "sent with Bearer eyJhunter2.hunter2.hunter2 to it",
    "authorization=Bearer hunter2-0123",
    // Commands.
    "curl -u ann:hunter2 https://x",
    "curl -sSfu ann:hunter2 https://x",
    "curl -uann:hunter2 https://x",
    "curl -u 'ann:hunter2' https://x",
    "/usr/bin/curl --user ann:hunter2 https://x",
    "curl --proxy-user=ann:hunter2 https://x",
    "curl -b 'sid=hunter2' https://x",
    "curl https://x \\\n  -u ann:hunter2 \\\n  -v",
    "curl --header \"x-api-key: hunter2\" https://x",
    "curl -H 'Authorization: Bearer hunter2' -u ann:hunter2 -H 'Cookie: a=hunter2; b=hunter2' https://x",
    "curl -d 'user=a&password=hunter2' https://x",
    "curl -d \"{\\\"password\\\": \\\"hunter2\\\"}\" https://x",
    "mytool --password hunter2 --verbose",
    "mytool --password=hunter2 --verbose",
    "mytool --api-key 'hunter2'",
    "mytool --token hunter2",
    "sshpass -p hunter2 ssh x",
    "sshpass -phunter2 ssh x",
    "wget --http-password=hunter2 https://x",
    "redis-cli --pass-token hunter2 ping",
    // Files.
    "password: hunter2",
    "db:\n  user: ann\n  password: hunter2\n  port: 5432",
    "- password: hunter2",
    "password: 'hunter2'",
    "password: \"hunter2\" # ours",
    "[default]\naws_secret_access_key = hunter2\nregion = x",
    "password = hunter2",
    "password = \"hunter2\"",
    "let password = \"hunter2\";",
    "os.environ[\"API_KEY\"] = \"hunter2\"",
    "headers = {\"Authorization\": \"Bearer hunter2\"}",
    "headers = {'x-api-key': 'hunter2'}",
    "x = {'password' => 'hunter2'}",
    "requests.get(url, auth=(\"ann\", \"hunter2\"))",
    "connect(host, password=\"hunter2\")",
    "<password>hunter2</password>",
    "<db><ns:password kind=\"x\"> hunter2 </ns:password></db>",
    "<secret><![CDATA[hunter2]]></secret>",
    "<add key=\"ApiKey\" value=\"hunter2\"/>",
    "env:\n  - name: DB_PASSWORD\n    value: hunter2\n  - name: A\n    value: b",
    "env:\n  - name: DB_PASSWORD\n    value: \"hunter2\"\n",
    "-----BEGIN RSA PRIVATE KEY-----\nhunter2\nhunter2\n-----END RSA PRIVATE KEY-----\n",
    "-----BEGIN PRIVATE KEY-----\\nhunter2\\n-----END PRIVATE KEY-----\\n",
    "private_key: |\n  -----BEGIN OPENSSH PRIVATE KEY-----\n  hunter2\n  hunter2",
    "KEY=\"-----BEGIN EC PRIVATE KEY-----\nhunter2\n-----END EC PRIVATE KEY-----\"",
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nhunter2\n-----END PGP PRIVATE KEY BLOCK-----",
    "ALTER USER ann WITH PASSWORD 'hunter2'",
    "DATABASE_DSN=Server=db;Password=hunter2;User=a",
    "dsn: ann:hunter2@tcp(db:3306)/x",
    "password: |\n  hunter2\n",
    "password: >-\n  hunter2 hunter2\n\n  hunter2",
    "db:\n  - password: |2+ # ours\n      hunter2\n    port: 5432",
    "\"api_key\": |\n  hunter2",
    "Content-Disposition: form-data; name=\"password\"\r\n\r\nhunter2\r\n--x--\r\n",
    "--x\ncontent-disposition: form-data; name=password\ncontent-type: text/plain\n\nhunter2\nhunter2\n--x--",
    "Content-Disposition: form-data; name=\"api_key\"; filename=\"a\"\r\n\r\nhunter2",
    "CREATE USER ann IDENTIFIED BY 'hunter2'",
    "create user ann identified by \"hunter2\" settings x = 1",
    "CREATE USER ann IDENTIFIED WITH plaintext_password BY 'hunter2' DEFAULT ROLE x",
    "ALTER USER ann IDENTIFIED WITH 'mysql_native_password' BY 'hunter2'",
    "GRANT ALL ON x.* TO ann IDENTIFIED BY PASSWORD '*hunter2'",
    "CREATE USER ann IDENTIFIED WITH mysql_native_password AS 'hunter2'",
    "{\"config\":\"password: |\\n  hunter2\\nuser: ann\"}",
    "CREATE USER ann IDENTIFIED BY 'hunter",
    // Prose, with further text around.
    "login of ann failed, password: hunter2",
    "login of ann failed, password: hunter2, try 2",
    "my password: hunter2 is not in a structure",
    "Your API key: hunter2",
    "the access token: hunter2",
    "**Password:** hunter2",
    "**password**: `hunter2`",
    "password:hunter2",
    "request failed: {\"user\":\"ann\",\"password\":\"hunter2\"}",
    "it said {\\\"password\\\":\\\"hunter2\\\"}",
    "\u{5bc6}\u{7801}password=hunter2",
    "a line\\npassword=hunter2",
    // Texts in structures.
    r#"{"command":"curl -u ann:hunter2 https://x","n":1}"#,
    r#"{"output":"A=b\nDB_PASSWORD=hunter2\n","n":1}"#,
    r#"{"output":"{\"log\":\"Authorization: Bearer hunter2\"}"}"#,
    r#"[INFO] curl -H "x-api-key: hunter2" -u ann:hunter2 https://x"#,
];

#[test]
fn the_secret_of_a_pair_is_masked_in_every_notation() {
    let mut wrong = Vec::new();
    for text in SECRETS {
        let masked = mask_text(text);
        if masked.contains("hunter") || !masked.contains("[masked") || mask_text(&masked) != masked {
            wrong.push(format!("{text}\nbecame\n{masked}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_text_around_a_secret_stays() {
    for (text, expected) in [
        (
            "a=1&password=hunter2&b=2",
            "a=1&password=[masked: 7 characters]&b=2",
        ),
        (
            "curl -H 'Authorization: Bearer hunter2' https://x",
            "curl -H 'Authorization: Bearer [masked: 7 characters]' https://x",
        ),
        (
            "curl -u ann:hunter2 https://x",
            "curl -u ann:[masked: 7 characters] https://x",
        ),
        (
            "export A_TOKEN=\"hunter2\"; make",
            "export A_TOKEN=\"[masked: 7 characters]\"; make",
        ),
        (
            "x = call(password=hunter2, user=ann)",
            "x = call(password=[masked: 7 characters], user=ann)",
        ),
        (
            "db:\n  password: hunter2\n  port: 5432\n",
            "db:\n  password: [masked: 7 characters]\n  port: 5432\n",
        ),
        (
            "<a><pwd>hunter2</pwd></a>",
            "<a><pwd>[masked: 7 characters]</pwd></a>",
        ),
        (
            "GET /x?api_key=hunter2&b=2 HTTP/1.1",
            "GET /x?api_key=[masked: 7 characters]&b=2 HTTP/1.1",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n",
            "-----BEGIN PRIVATE KEY-----\n[masked: 7 characters]\n-----END PRIVATE KEY-----\n",
        ),
        (
            r#"{"command":"mytool --token \"hunter2\" -v","max_tokens":5}"#,
            r#"{"command":"mytool --token \"[masked: 7 characters]\" -v","max_tokens":5}"#,
        ),
        (
            "db:\n  password: |\n    hunter2\n\n  port: 5432\n",
            "db:\n  password: |\n    [masked: 7 characters]\n\n  port: 5432\n",
        ),
        (
            "form-data; name=\"user\"\r\n\r\nann1\r\n--x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nhunter2\r\n--x--",
            "form-data; name=\"user\"\r\n\r\nann1\r\n--x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n[masked: 7 characters]\r\n--x--",
        ),
        (
            "CREATE USER ann IDENTIFIED BY 'hunter2' HOST LOCAL",
            "CREATE USER ann IDENTIFIED BY '[masked: 7 characters]' HOST LOCAL",
        ),
        (
            "the password: hunter2. Then",
            "the password: [masked: 7 characters]. Then",
        ),
        (
            "DB_DSN=Server=db;Password=hunter2",
            "DB_DSN=Server=db;Password=[masked: 7 characters]",
        ),
    ] {
        assert_eq!(mask_text(text), expected);
        assert!(matches!(mask_text(expected), Cow::Borrowed(_)), "{expected}");
    }
}

/// Texts without a secret.
const HARMLESS: [&str; 98] = [
    // Prose.
    "the password: is needed",
    "Password: must be at least 8 characters",
    "password: required",
    "Enter your password:",
    "the token: it is a piece of text",
    "unexpected token: identifier",
    "unexpected token: fn1",
    "SyntaxError: Unexpected token 'x1' in JSON",
    "Authorization: required",
    "Authorization failed: timeout",
    "the secret of it: we do not know",
    "Bearer of bad news",
    "bearer token is missing",
    "the key: see 5",
    "foreign key: users.id",
    "public key: ssh-ed25519 AAAA1",
    "the passwords, tokens and cookies = all of them",
    "secrets.example.com: connection refused",
    "use --password to set it, or --token",
    "  --password string   the password of the database",
    "  --token TOKEN       the token",
    "  --api-key API_KEY",
    "KeyError: 'password'",
    "InvalidTokenError: Signature has expired",
    // Counts and positions.
    "next_token: 5",
    "next_token: abc1",
    "next token: abc1",
    "eos_token=</s1>",
    "first token: x1",
    "max_tokens=100",
    "max_tokens: 100, total_tokens: 5",
    "author: x1",
    "author=x1",
    "authors: ann1, bob2",
    "keyboard=qwerty1",
    "token=5",
    "password: 12345",
    "is_password=true",
    "password: null",
    "cookie=None",
    // Code.
    "if password == \"x1\" { }",
    "if (token != \"x1\") return",
    "password = get_password()",
    "password=get_password(user, 1)",
    "let token = tokenizer.next1();",
    "token = tokens[0]",
    "token = lexer.peek",
    "x = connect(password=password, token=self.token)",
    "api_key=os.environ[\"API_KEY\"]",
    "api_key=os.environ.get(\"API_KEY\")",
    "apiKey: process.env.API_KEY,",
    "pub struct Login {\n    user: String,\n    password: String,\n    token: Option<String>,\n}",
    "fn login(user: &str, password: &str) -> Result<Token, Error>",
    "def login(user: str, password: str = None, token: Optional[str] = None):",
    "interface Login { password: string; token?: string }",
    "use crate::auth::check1;",
    "auth::check1(x)",
    "Vec<Token> and HashMap<String, Secret>",
    "fn f(tokens: Vec<Token>) -> Vec<Token> { x1 }",
    "password: user.password,",
    "this.password = password;",
    "secret = Secret::new(x1)",
    "const { password } = req.body",
    "let found = |token: &str| {",
    "const SECRETS: [&str; 18] = [",
    "let server = |auth: &AuthMode| x(auth);",
    "Choose a password: `export CLICKHOUSE_PASSWORD=...` before the first one",
    "`insert_token = digest of the batch + table + day`",
    "POST / HTTP/1.1\\r\\nAuthorization: Bearer {ADMIN}\\r\\nContent-Type: x1",
    "- provider_id: ${env.API_KEY:+cerebras}",
    "password: |\nuser: ann1",
    "password: |",
    "the password: | x1 | x2 |\n  x3",
    "Content-Disposition: form-data; name=\"author\"\r\n\r\nx1\r\n--x--",
    "Content-Disposition: form-data; name=\"password\"\r\n\r\n\r\n--x--",
    "the user is identified by 5 letters, identified with 'x1'",
    "CREATE USER ann IDENTIFIED BY 'null'",
    // Placeholders and locations of others.
    "password=${PASSWORD}",
    "password=$DB_PASSWORD",
    "curl -H \"Authorization: Bearer $TOKEN\" https://x",
    "curl -H \"Authorization: Bearer ${TOKEN}\" https://x",
    "curl -u \"$USER:$PASSWORD\" https://x",
    "curl -u ann https://x",
    "docker run -u 1000:1000 img",
    "api_key=<your-key-1>",
    "- password: {{ secrets.password }}",
    "password: ********",
    "headers = {\"Authorization\": f\"Bearer {token}\"}",
    "name: DB_PASSWORD\nvalueFrom: x",
    "ghcr.io/x/auth:v1.2",
    "arn:aws:secretsmanager:eu-1:123:secret:prod/db-1",
    "http://auth:8080/x and auth://x1",
    "<password></password><token>5</token>",
    "<password/> x1 <token kind=\"x1\"/>",
    "-----BEGIN PUBLIC KEY-----\nx1\n-----END PUBLIC KEY-----",
    "-----BEGIN CERTIFICATE-----\nx1\n-----END CERTIFICATE-----",
    "key=x1",
    "",
];

#[test]
fn texts_without_a_secret_stay() {
    let mut wrong = Vec::new();
    for text in HARMLESS {
        if let Cow::Owned(masked) = mask_text(text) {
            wrong.push(format!("{text}\nbecame\n{masked}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Pseudo-random numbers, the same in every run: xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }
}

const PIECES: [&str; 66] = [
    "password",
    "token",
    "api_key",
    "Authorization",
    "Cookie",
    "--password",
    "--token",
    "DSN",
    "name",
    "value",
    "Bearer",
    "Basic",
    "Digest",
    "curl",
    "-u",
    "--user",
    "sshpass",
    "-p",
    "ann:pw1",
    "x1",
    "hunter2",
    "word",
    "Words",
    "is",
    "5",
    "true",
    "=",
    ":",
    ": ",
    " = ",
    "=>",
    "==",
    "::",
    " ",
    " ",
    "\n",
    "\r\n",
    "\\n",
    "\"",
    "'",
    "`",
    "\\\"",
    "\\",
    "&",
    ";",
    ",",
    ".",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "<",
    ">",
    "</",
    "https://",
    "@",
    "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----",
    "IDENTIFIED",
    "BY",
    "WITH",
    "password: |\n  ",
    "Content-Disposition: form-data; name=password\n\n",
    "\n--",
];

#[test]
fn masking_twice_equals_masking_once_and_masked_json_is_valid() {
    let mut random = Random(11);
    for _ in 0..6_000 {
        let text: String = (0..=random.below(16)).map(|_| random.pick(&PIECES)).collect();
        let once = mask_text(&text);
        assert_eq!(mask_text(&once), once, "{text:?}");
        let in_json = serde_json::json!({"a": [text, 1]}).to_string();
        let masked = mask_text(&in_json);
        let read: Result<serde_json::Value, _> = serde_json::from_str(&masked);
        assert!(read.is_ok(), "{in_json}\nbecame\n{masked}");
        assert_eq!(mask_text(&masked), masked, "{in_json}");
    }
}

#[test]
fn a_text_without_the_name_of_a_secret_never_changes() {
    let harmless: Vec<&str> = PIECES
        .into_iter()
        .filter(|piece| {
            super::super::super::secret_kind(piece).is_none()
                && ![
                    "Bearer",
                    "curl",
                    "sshpass",
                    "https://",
                    "-----BEGIN PRIVATE KEY-----",
                ]
                .contains(piece)
        })
        .collect();
    let mut random = Random(12);
    for _ in 0..6_000 {
        let text: String = (0..=random.below(16)).map(|_| random.pick(&harmless)).collect();
        assert_eq!(mask_text(&text), text);
    }
}

#[test]
fn texts_of_nothing_but_keys_do_not_take_long() {
    for piece in [
        "password",
        "password=",
        "password: ",
        "password=${",
        "password=\"",
        "password='",
        "password=\\\"",
        "password=(",
        "password=(\"",
        "<password>",
        "<password x",
        "<password><![CDATA[",
        "curl ",
        "curl -u ",
        "--password ",
        "name=password value=",
        "name: password ",
        "-----BEGIN PRIVATE KEY-----",
        "Authorization: Digest ",
        "\"password: x",
        "Bearer x",
        "cookie: a=",
        "dsn=",
        "password=x,",
        "password=a&",
        "x-password-",
        "sshpass -p'",
        "password: 'x ",
        "API key ",
        "password: |\n  ",
        "password: |\n  password: |\n    5\n",
        "identified by '",
        "identified with 'x' ",
        "Content-Disposition: form-data; name=password\n\n",
        "content-disposition: form-data; name=\"password\"\n\n5\n--x\n",
    ] {
        let text = piece.repeat(20_000 / piece.len());
        let masked = mask_text(&text);
        let _ = mask_text(&masked);
    }
}
