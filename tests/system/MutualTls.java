// SPDX-FileCopyrightText: the ggtpmd authors
// SPDX-License-Identifier: BSD-2-Clause

import java.io.FileInputStream;
import java.io.InputStream;
import java.net.InetAddress;
import java.security.KeyStore;
import java.security.Provider;
import java.security.Security;
import java.security.cert.CertificateFactory;
import java.util.concurrent.CompletableFuture;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/**
 * What Greengrass V2's nucleus does with its PKCS#11 provider: SunPKCS11 on libtpm2_pkcs11, key and certificate out of
 * the token, TLS with both sides authenticated. Arguments: SunPKCS11's configuration, the CA's certificate, labels of
 * keys. The PIN comes on standard input. Prints a line for each handshake: protocol, algorithm of the client's key,
 * what came through.
 */
public class MutualTls {
  private static TrustManagerFactory trustOf(String path) throws Exception {
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, null);
    try (InputStream in = new FileInputStream(path)) {
      store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
    }
    TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    factory.init(store);
    return factory;
  }

  /** Only the key of that label, so that it is known whose signature it was. */
  private static SSLContext contextOf(KeyStore token, String alias, char[] pin, TrustManagerFactory trust)
      throws Exception {
    javax.net.ssl.X509ExtendedKeyManager manager = new javax.net.ssl.X509ExtendedKeyManager() {
      public String[] getClientAliases(String type, java.security.Principal[] issuers) {
        return new String[] {alias};
      }
      public String chooseClientAlias(String[] types, java.security.Principal[] issuers, java.net.Socket socket) {
        return alias;
      }
      public String[] getServerAliases(String type, java.security.Principal[] issuers) {
        return new String[] {alias};
      }
      public String chooseServerAlias(String type, java.security.Principal[] issuers, java.net.Socket socket) {
        String algorithm = getPrivateKey(alias).getAlgorithm();
        return type.contains(algorithm) ? alias : null;
      }
      public java.security.cert.X509Certificate[] getCertificateChain(String name) {
        try {
          java.security.cert.Certificate[] chain = token.getCertificateChain(name);
          return java.util.Arrays.copyOf(chain, chain.length, java.security.cert.X509Certificate[].class);
        } catch (java.security.KeyStoreException e) {
          throw new IllegalStateException(e);
        }
      }
      public java.security.PrivateKey getPrivateKey(String name) {
        try {
          return (java.security.PrivateKey) token.getKey(name, pin);
        } catch (java.security.GeneralSecurityException e) {
          throw new IllegalStateException(e);
        }
      }
    };
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(new javax.net.ssl.KeyManager[] {manager}, trust.getTrustManagers(), null);
    return context;
  }

  private static String serve(SSLServerSocket listener) {
    try (SSLSocket socket = (SSLSocket) listener.accept()) {
      socket.startHandshake();
      int n = socket.getInputStream().read();
      String who = socket.getSession().getPeerCertificates()[0].getPublicKey().getAlgorithm();
      socket.getOutputStream().write(n + 1);
      return who;
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }

  private static void shake(SSLContext context, String protocol) throws Exception {
    InetAddress loopback = InetAddress.getByName("127.0.0.1");
    try (SSLServerSocket listener =
             (SSLServerSocket) context.getServerSocketFactory().createServerSocket(0, 1, loopback)) {
      listener.setNeedClientAuth(true);
      listener.setEnabledProtocols(new String[] {protocol});
      CompletableFuture<String> server = CompletableFuture.supplyAsync(() -> serve(listener));
      try (SSLSocket socket =
               (SSLSocket) context.getSocketFactory().createSocket(loopback, listener.getLocalPort())) {
        socket.setEnabledProtocols(new String[] {protocol});
        socket.startHandshake();
        socket.getOutputStream().write(41);
        int answer = socket.getInputStream().read();
        System.out.println(socket.getSession().getProtocol() + " " + server.get() + " " + answer);
      }
    }
  }

  public static void main(String[] arguments) throws Exception {
    Provider provider = Security.getProvider("SunPKCS11").configure(arguments[0]);
    Security.addProvider(provider);
    char[] pin = new String(System.in.readAllBytes(), "UTF-8").toCharArray();
    KeyStore token = KeyStore.getInstance("PKCS11", provider);
    token.load(null, pin);
    TrustManagerFactory trust = trustOf(arguments[1]);
    for (int i = 2; i < arguments.length; i++)
      for (String protocol : new String[] {"TLSv1.2", "TLSv1.3"})
        shake(contextOf(token, arguments[i], pin, trust), protocol);
  }
}
